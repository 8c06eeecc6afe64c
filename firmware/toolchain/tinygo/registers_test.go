// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package tinygo

import (
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const rpDir = "overlay/src/device/rp"

// volatileSource stands for TinyGo's package runtime/volatile.
const volatileSource = `package volatile
type Register32 struct{ Reg uint32 }
func (*Register32) Get() uint32
func (*Register32) ReplaceBits(value, mask uint32, pos uint8)`

// rpPackage is package device/rp, checked as for the board.
type rpPackage struct {
	files []*ast.File
	types *types.Package
}

// Import gives the only package but unsafe that device/rp imports.
func (rpPackage) Import(path string) (*types.Package, error) {
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, "volatile.go", volatileSource, 0)
	if err != nil {
		return nil, err
	}
	return new(types.Config).Check(path, set, []*ast.File{f}, nil)
}

func checkedRP(t *testing.T) rpPackage {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(rpDir, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no files of device/rp (%v)", err)
	}
	var p rpPackage
	set := token.NewFileSet()
	for _, name := range names {
		f, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		p.files = append(p.files, f)
	}
	config := types.Config{Importer: p, Sizes: types.SizesFor("gc", "arm")}
	if p.types, err = config.Check("device/rp", set, p.files, nil); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestConstantsOfRegistersAreTheVendors(t *testing.T) {
	t.Parallel()
	d, rp := readSVD(t), checkedRP(t)
	want := map[string]uint64{}
	for _, p := range d.Peripherals {
		for name, v := range p.constants() {
			want[name] = v
		}
	}
	for name, v := range d.interrupts() {
		want["IRQ_"+name] = v
	}
	checked := 0
	for _, name := range rp.types.Scope().Names() {
		c, ok := rp.types.Scope().Lookup(name).(*types.Const)
		if !ok || name == "Device" {
			continue
		}
		checked++
		expected, ok := want[strings.ToUpper(name)]
		if !ok {
			t.Errorf("%s: the vendor's file has no such field or value", name)
			continue
		}
		if got, _ := constant.Uint64Val(c.Val()); got != expected {
			t.Errorf("%s = %#x, want %#x", name, got, expected)
		}
	}
	if checked < 200 {
		t.Errorf("only %d constants were found", checked)
	}
}

func TestRegistersAreAtTheVendorsOffsets(t *testing.T) {
	t.Parallel()
	d, rp := readSVD(t), checkedRP(t)
	checked := 0
	for _, name := range rp.types.Scope().Names() {
		named, ok := rp.types.Scope().Lookup(name).(*types.TypeName)
		if !ok {
			continue
		}
		p := d.peripheral(strings.TrimSuffix(name, "_Type"))
		if p == nil {
			t.Errorf("%s: the vendor's file has no such peripheral", name)
			continue
		}
		block := named.Type().Underlying().(*types.Struct)
		fields := slices.Collect(block.Fields())
		offsets := types.SizesFor("gc", "arm").Offsetsof(fields)
		for i, f := range fields {
			if f.Name() == "_" {
				continue
			}
			checked++
			if r := p.register(f.Name()); r == nil {
				t.Errorf("%s.%s: the vendor's file has no such register", name, f.Name())
			} else if want := number(r.AddressOffset); uint64(offsets[i]) != want {
				t.Errorf("%s.%s is at %#x, want %#x", name, f.Name(), offsets[i], want)
			}
		}
	}
	if checked < 60 {
		t.Errorf("only %d registers were found", checked)
	}
}

func TestPeripheralsAreAtTheVendorsAddresses(t *testing.T) {
	t.Parallel()
	d, rp := readSVD(t), checkedRP(t)
	checked := 0
	for _, f := range rp.files {
		ast.Inspect(f, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || rp.types.Scope().Lookup(v.Names[0].Name) == nil || len(v.Values) == 0 {
				return true
			}
			pointer, ok := rp.types.Scope().Lookup(v.Names[0].Name).Type().(*types.Pointer)
			if !ok {
				return true
			}
			checked++
			name := v.Names[0].Name
			p := d.peripheral(name)
			if p == nil {
				t.Errorf("%s: the vendor's file has no such peripheral", name)
				return true
			}
			if got, want := literals(v.Values[0]), []uint64{number(p.BaseAddress)}; !slices.Equal(got, want) {
				t.Errorf("%s is at %#x, want %#x", name, got, want)
			}
			like := name
			if p.DerivedFrom != "" {
				like = p.DerivedFrom
			}
			if got := pointer.Elem().(*types.Named).Obj().Name(); got != like+"_Type" {
				t.Errorf("%s is a %s, want %s_Type", name, got, like)
			}
			return true
		})
	}
	if checked < 20 {
		t.Errorf("only %d peripherals were found", checked)
	}
}

func TestMethodsReachTheVendorsBits(t *testing.T) {
	t.Parallel()
	d, rp := readSVD(t), checkedRP(t)
	checked := 0
	for _, f := range rp.files {
		for _, decl := range f.Decls {
			m, ok := decl.(*ast.FuncDecl)
			if !ok || m.Recv == nil {
				continue
			}
			checked++
			block := m.Recv.List[0].Type.(*ast.StarExpr).X.(*ast.Ident).Name
			r, bits := d.peripheral(strings.TrimSuffix(block, "_Type")).field(m.Name.Name[len("Get"):])
			if r == nil {
				t.Errorf("%s.%s: the vendor's file has no such field", block, m.Name.Name)
				continue
			}
			low, ones := bits.bits()
			want := []uint64{ones, low} // ReplaceBits(value, ones, low)
			if strings.HasPrefix(m.Name.Name, "Get") {
				want = slices.DeleteFunc([]uint64{low, ones}, func(n uint64) bool { return n == 0 }) // Get() >> low & ones
			}
			if got := literals(m.Body); !slices.Equal(got, want) {
				t.Errorf("%s.%s has the numbers %v, want %v", block, m.Name.Name, got, want)
			}
			if !mentions(m.Body, r.Name) {
				t.Errorf("%s.%s does not reach %s", block, m.Name.Name, r.Name)
			}
		}
	}
	if checked == 0 {
		t.Error("no method was found")
	}
}

func TestEveryInterruptHasItsHandler(t *testing.T) {
	t.Parallel()
	d, rp := readSVD(t), checkedRP(t)
	handlers := map[string]string{} // what a handler calls, by the name the linker sees
	for _, f := range rp.files {
		for _, decl := range f.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Doc == nil || fn.Body == nil || !strings.HasPrefix(fn.Doc.List[0].Text, "//export ") {
				continue
			}
			call := fn.Body.List[0].(*ast.ExprStmt).X.(*ast.CallExpr)
			handlers[strings.TrimPrefix(fn.Doc.List[0].Text, "//export ")] = call.Fun.(*ast.Ident).Name + " " + call.Args[0].(*ast.Ident).Name
		}
	}
	for name := range d.interrupts() {
		if got, want := handlers[name+"_IRQHandler"], "callHandlers IRQ_"+name; got != want {
			t.Errorf("the handler of %s does %q, want %q", name, got, want)
		}
	}
}

// literals are the whole numbers written in a piece of code, in order.
func literals(n ast.Node) (all []uint64) {
	ast.Inspect(n, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.INT {
			all = append(all, number(lit.Value))
		}
		return true
	})
	return all
}

func mentions(n ast.Node, name string) (found bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		found = found || ok && id.Name == name
		return true
	})
	return found
}

var vector = regexp.MustCompile(`(?m)^ +vector (\w+)_IRQHandler$`)

func TestVectorsAreInTheVendorsOrder(t *testing.T) {
	t.Parallel()
	numbers := readSVD(t).interrupts()
	data, err := os.ReadFile(filepath.Join(rpDir, "rp2040.s"))
	if err != nil {
		t.Fatal(err)
	}
	vectors := vector.FindAllStringSubmatch(string(data), -1)
	if len(vectors) != len(numbers) {
		t.Errorf("%d vectors for %d interrupts", len(vectors), len(numbers))
	}
	for i, v := range vectors {
		if n, ok := numbers[v[1]]; !ok || n != uint64(i) {
			t.Errorf("vector %d is %s, whose number is %d", i, v[1], n)
		}
	}
}
