package strictjson_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"millrace/pkg/strictjson"
)

// pair is the document that these tests read.
type pair struct {
	Name  string
	Count int64
	Tags  []string
}

func read(text string) (p pair, err error) {
	r, err := strictjson.NewReader([]byte(text))
	if err != nil {
		return p, err
	}
	r.Object(func(name string) bool {
		switch name {
		case "name":
			p.Name = r.String()
		case "count":
			p.Count = r.Int()
		case "tags":
			r.Array(3, func(int) { p.Tags = append(p.Tags, r.String()) })
		default:
			return false
		}
		return true
	}, "name", "count")
	return p, r.Err()
}

func TestReader_Reads(t *testing.T) {
	for text, want := range map[string]pair{
		`{"name":"é\n","count":3}`:                        {"é\n", 3, nil},
		` { "count" : -2e2 , "name" : "" , "tags":[] } `:  {"", -200, nil},
		`{"name":"a","count":2.0,"tags":["x","y"]}`:       {"a", 2, []string{"x", "y"}},
		`{"name":"a","count":1e400}`:                      {"a", math.MaxInt64, nil},
		`{"name":"a","count":-99999999999999999999}`:      {"a", math.MinInt64, nil},
		`{"name":"a","count":0,"tags":["1","2","3","4"]}`: {"a", 0, []string{"1", "2", "3"}},
	} {
		if got, err := read(text); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
}

func TestReader_NamesWhatIsNotAsExpected(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                                     "/name required is missing; /count required is missing",
		`[]`:                                     " type must be an object, not an array",
		`"x"`:                                    " type must be an object, not a string",
		`{"name":{"a":[{}]},"count":[[1]]}`:      "/name type must be a string, not an object; /count type must be an integer, not an array",
		`{"name":true,"count":null}`:             "/name type must be a string, not a boolean; /count type must be an integer, not null",
		`{"name":"a","count":1.25}`:              "/count type must be a whole number, not 1.25",
		`{"name":"a","count":1,"name":"b"}`:      "/name uniqueNames is given twice",
		`{"name":"a","count":1,"a/b~c":{"d":1}}`: "/a~1b~0c additionalProperties is not a field of this document",
		`{"name":"a","count":1,"tags":["x",2]}`:  "/tags/1 type must be a string, not a number",
	} {
		_, err := read(text)
		var shape *strictjson.ShapeError
		if !errors.As(err, &shape) {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var got []string
		for _, v := range shape.Violations {
			got = append(got, v.Pointer+" "+v.Rule+" "+v.Detail)
		}
		if strings.Join(got, "; ") != want {
			t.Errorf("%s:\n%s\nwant\n%s", text, strings.Join(got, "; "), want)
		}
	}
}

func TestNewReader_SaysWhereTheTextBreaks(t *testing.T) {
	for text, want := range map[string]string{
		"":                     "line 1, column 1",
		"{":                    "line 1, column 2",
		"{\"a\":}":             "line 1, column 6",
		"{\n  \"a\": 1,\n  x}": "line 3, column 3",
		"{}\n{}":               "line 2, column 1",
		"\"\x01\"":             "line 1, column 2",
	} {
		_, err := strictjson.NewReader([]byte(text))
		var syntax *strictjson.SyntaxError
		if !errors.As(err, &syntax) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestReader_BoundsItsAnswer(t *testing.T) {
	var b strings.Builder
	b.WriteString("{")
	for i := range 1000 {
		fmt.Fprintf(&b, `"%s%d":0,`, strings.Repeat("x", 1000), i)
	}
	b.WriteString(`"name":"a","count":1}`)
	_, err := read(b.String())
	var shape *strictjson.ShapeError
	if !errors.As(err, &shape) || len(shape.Violations) != 20 || len(shape.Violations[0].Pointer) > 100 {
		t.Errorf("%.200v", err)
	}
}

// Whatever is read without an error, encoding/json reads the same from it; whatever
// encoding/json finds broken is refused; and nothing panics or hangs.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{`{"name":"a","count":1}`, `{"name":"a","count":1e3,"tags":["x"]}`, `{`, `[{}]`, `{"name":{"x":[1,{"y":null}]}}`, "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := read(text)
		if !json.Valid([]byte(text)) {
			if err == nil {
				t.Fatalf("%q is not JSON and was read", text)
			}
			return
		}
		if err != nil {
			return
		}
		var want struct {
			Name  string
			Count json.Number
			Tags  []string
		}
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		if got.Name != want.Name || len(got.Tags) != min(3, len(want.Tags)) {
			t.Errorf("%q: %+v, encoding/json reads %+v", text, got, want)
		}
	})
}

func ExampleReader() {
	_, err := read(`{"name": 7, "colour": "red"}`)
	var shape *strictjson.ShapeError
	if errors.As(err, &shape) {
		for _, v := range shape.Violations {
			fmt.Println(v.Pointer, v.Detail)
		}
	}
	// Output:
	// /name must be a string, not a number
	// /colour is not a field of this document
	// /count is missing
}
