// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package tinygo

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/ulikunitz/xz"
)

// svdFile is the vendor's description of the chip, beside this repository. It is
// not part of it.
const svdFile = "../../../../shared/rp2040/rp2040.svd.xz"

// svdDevice is what the description says, as far as it is asked.
type svdDevice struct {
	Peripherals []svdPeripheral `xml:"peripherals>peripheral"`
}

type svdPeripheral struct {
	Name        string        `xml:"name"`
	DerivedFrom string        `xml:"derivedFrom,attr"`
	BaseAddress string        `xml:"baseAddress"`
	Interrupts  []svdValue    `xml:"interrupt"`
	Registers   []svdRegister `xml:"registers>register"`
}

type svdRegister struct {
	Name          string     `xml:"name"`
	AddressOffset string     `xml:"addressOffset"`
	Fields        []svdField `xml:"fields>field"`
}

type svdField struct {
	Name     string     `xml:"name"`
	BitRange string     `xml:"bitRange"`
	Values   []svdValue `xml:"enumeratedValues>enumeratedValue"`
}

type svdValue struct {
	Name  string `xml:"name"`
	Value string `xml:"value"`
}

// readSVD reads the description, once for all tests.
func readSVD(t *testing.T) *svdDevice {
	t.Helper()
	d, err := decodeSVD()
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the vendor's SVD file is not beside this repository: the registers stay unchecked")
	} else if err != nil {
		t.Fatal(err)
	}
	return d
}

var decodeSVD = sync.OnceValues(func() (*svdDevice, error) {
	f, err := os.Open(filepath.FromSlash(svdFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	plain, err := xz.NewReader(f)
	if err != nil {
		return nil, err
	}
	d := &svdDevice{}
	return d, xml.NewDecoder(plain).Decode(d)
})

func number(s string) uint64 {
	n, err := strconv.ParseUint(s, 0, 64)
	if err != nil {
		panic(err) // the file is not what this test was written for
	}
	return n
}

func (d *svdDevice) peripheral(name string) *svdPeripheral {
	for i := range d.Peripherals {
		if d.Peripherals[i].Name == name {
			return &d.Peripherals[i]
		}
	}
	return nil
}

func (d *svdDevice) interrupts() map[string]uint64 {
	numbers := map[string]uint64{}
	for _, p := range d.Peripherals {
		for _, i := range p.Interrupts {
			numbers[i.Name] = number(i.Value)
		}
	}
	return numbers
}

func (p *svdPeripheral) register(name string) *svdRegister {
	for i := range p.Registers {
		if p.Registers[i].Name == name {
			return &p.Registers[i]
		}
	}
	return nil
}

// bits returns the lowest bit of a field and the mask of as many ones as it has.
func (f *svdField) bits() (low, ones uint64) {
	var high uint64
	if _, err := fmt.Sscanf(f.BitRange, "[%d:%d]", &high, &low); err != nil {
		panic(err)
	}
	return low, 1<<(high-low+1) - 1
}

// constants are the names and values that a constant of a peripheral can have:
// REGISTER_FIELD_Pos, _Msk, the mask alone for a field of one bit, and
// REGISTER_FIELD_VALUE. Case differs between the file and Go's names.
func (p *svdPeripheral) constants() map[string]uint64 {
	all := map[string]uint64{}
	for _, r := range p.Registers {
		for _, f := range r.Fields {
			low, ones := f.bits()
			name := p.Name + "_" + r.Name + "_" + f.Name
			all[strings.ToUpper(name+"_Pos")] = low
			all[strings.ToUpper(name+"_Msk")] = ones << low
			if ones == 1 {
				all[strings.ToUpper(name)] = 1 << low
			}
			for _, v := range f.Values {
				all[strings.ToUpper(name+"_"+v.Name)] = number(v.Value)
			}
		}
	}
	return all
}

// field finds what a method such as SetREGISTER_FIELD or GetREGISTER is about.
func (p *svdPeripheral) field(name string) (*svdRegister, *svdField) {
	for i := range p.Registers {
		r := &p.Registers[i]
		for j := range r.Fields {
			f := &r.Fields[j]
			if name == r.Name+"_"+f.Name || name == r.Name && name == f.Name {
				return r, f
			}
		}
	}
	return nil, nil
}
