module github.com/picolet/picolet/firmware

go 1.26.0

require (
	github.com/gofrs/flock v0.13.1
	github.com/picolet/picolet v0.0.0
	github.com/ulikunitz/xz v0.5.17
)

require golang.org/x/sys v0.48.0 // indirect

replace github.com/picolet/picolet => ../
