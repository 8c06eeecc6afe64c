module github.com/picolet/picolet/firmware

go 1.26.0

require (
	github.com/gofrs/flock v0.13.1
	github.com/picolet/picolet v0.0.0
	github.com/soypat/cyw43439 v0.2.0
	github.com/soypat/lneto v0.4.0
	github.com/tinygo-org/pio v0.2.0
	github.com/ulikunitz/xz v0.5.17
	gvisor.dev/gvisor v0.0.0-20250205023644-9414b50a5633
)

require (
	github.com/flynn/noise v1.1.0 // indirect
	github.com/google/btree v1.1.3 // indirect
	github.com/insomniacslk/dhcp v0.0.0-20260901064844-234b97448fae // indirect
	github.com/josharian/native v1.1.0 // indirect
	github.com/pierrec/lz4/v4 v4.1.14 // indirect
	github.com/soypat/seqs v0.0.0-20250124201400-0d65bc7c1710 // indirect
	github.com/u-root/uio v0.0.0-20230220225925-ffce2a382923 // indirect
	golang.org/x/crypto v0.57.0 // indirect
	golang.org/x/exp v0.0.0-20240808152545-0cdaa3abc0fa // indirect
	golang.org/x/net v0.59.0 // indirect
	golang.org/x/sys v0.48.0 // indirect
	golang.org/x/time v0.15.0 // indirect
)

replace github.com/picolet/picolet => ../

replace github.com/soypat/lneto => github.com/soypat/lneto v0.3.2
