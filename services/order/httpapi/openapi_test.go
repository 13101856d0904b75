package httpapi

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"millrace/pkg/problem"
)

var update = flag.Bool("update", false, "make openapi.json of openapi.yaml")

func TestOpenAPI_JSONIsTheYAML(t *testing.T) {
	var document any
	if err := yaml.Unmarshal(openAPIYAML, &document); err != nil {
		t.Fatal(err)
	}
	want, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile("openapi.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(openAPIJSON, want) {
		t.Error("openapi.json is not made of openapi.yaml: run go test ./httpapi -run TestOpenAPI_JSON -update, then the tests again")
	}
}

// contract is the document, to hold requests and answers against.
type contract struct {
	document map[string]any
	compiler *jsonschema.Compiler
}

const documentURL = "https://millrace.example/openapi.json"

func readContract(t testing.TB) contract {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(openAPIJSON))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020) // that of OpenAPI 3.1
	c.AssertFormat()
	if err := c.AddResource(documentURL, document); err != nil {
		t.Fatal(err)
	}
	return contract{document.(map[string]any), c}
}

// at follows a path of names through the document, and references on the way.
func (c contract) at(t testing.TB, path ...string) (value any, pointer string) {
	t.Helper()
	value = c.document
	for i, name := range path {
		object, _ := value.(map[string]any)
		next, ok := object[name]
		if !ok {
			t.Fatalf("openapi.yaml has no %s", strings.Join(path[:i+1], " "))
		}
		pointer += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
		value = next
		if reference, ok := next.(map[string]any)["$ref"].(string); ok && i < len(path)-1 {
			pointer = strings.TrimPrefix(reference, "#")
			value, _ = c.at(t, strings.Split(strings.TrimPrefix(pointer, "/"), "/")...)
		}
	}
	return value, pointer
}

// check holds a JSON text against the schema at a pointer of the document.
func (c contract) check(t testing.TB, pointer string, text []byte) {
	t.Helper()
	schema, err := c.compiler.Compile(documentURL + "#" + pointer)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%s\nis not as %s has it: %v", text, pointer, err)
	}
}

// checkAnswer holds an answer against what the document says of the operation.
func (c contract) checkAnswer(t testing.TB, path, method string, answer *httptest.ResponseRecorder) {
	t.Helper()
	operation := []string{"paths", path, strings.ToLower(method), "responses", strconv.Itoa(answer.Code), "content"}
	content, _ := c.at(t, operation...)
	mediaType, _, _ := strings.Cut(answer.Header().Get("Content-Type"), ";")
	media, ok := content.(map[string]any)[mediaType]
	if !ok {
		t.Fatalf("%s %s answers %d as %q; the document has %v", method, path, answer.Code, mediaType, slices.Collect(maps.Keys(content.(map[string]any))))
	}
	if !strings.HasSuffix(mediaType, "json") {
		return
	}
	if _, ok := media.(map[string]any)["schema"]; !ok {
		t.Fatalf("no schema for %s %s, %d", method, path, answer.Code)
	}
	_, pointer := c.at(t, append(operation, mediaType, "schema")...)
	c.check(t, pointer, answer.Body.Bytes())
}

func TestOpenAPI_HasTheRoutesThatAreServed(t *testing.T) {
	c := readContract(t)
	if version, _ := c.document["openapi"].(string); !strings.HasPrefix(version, "3.1.") {
		t.Errorf("version %q", version)
	}
	served := map[string]bool{}
	a := &api{problems: problem.NewTable(nil)}
	for path, methods := range a.routes() {
		for method := range methods {
			served[method+" "+path] = true
		}
	}
	paths, _ := c.at(t, "paths")
	for path, operations := range paths.(map[string]any) {
		for method := range operations.(map[string]any) {
			name := strings.ToUpper(method) + " " + path
			if !served[name] {
				t.Errorf("the document has %s, the service has not", name)
			}
			delete(served, name)
		}
	}
	for name := range served {
		t.Errorf("the service has %s, the document has not", name)
	}
}

// Every schema compiles and every example keeps to its schema.
func TestOpenAPI_ExamplesAreValid(t *testing.T) {
	c := readContract(t)
	schemas, _ := c.at(t, "components", "schemas")
	for name := range schemas.(map[string]any) {
		if _, err := c.compiler.Compile(documentURL + "#/components/schemas/" + name); err != nil {
			t.Error(err)
		}
	}
	examples := 0
	var walk func(value any, pointer string)
	walk = func(value any, pointer string) {
		switch value := value.(type) {
		case map[string]any:
			if named, ok := value["examples"].(map[string]any); ok && value["schema"] != nil {
				for _, example := range named {
					text, err := json.Marshal(example.(map[string]any)["value"])
					if err != nil {
						t.Fatal(err)
					}
					c.check(t, pointer+"/schema", text)
					examples++
				}
			}
			for name, inner := range value {
				walk(inner, pointer+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(name))
			}
		case []any:
			for i, inner := range value {
				walk(inner, pointer+"/"+strconv.Itoa(i))
			}
		}
	}
	walk(c.document, "")
	if examples < 4 {
		t.Errorf("%d examples found", examples)
	}
}

// The examples of the document work against the service.
func TestOpenAPI_ExamplesOfOrdersCanBePlaced(t *testing.T) {
	s := newShop(t)
	c := readContract(t)
	examples, _ := c.at(t, "paths", "/orders", "post", "requestBody", "content", "application/json", "examples")
	for name, example := range examples.(map[string]any) {
		body, err := json.Marshal(example.(map[string]any)["value"])
		if err != nil {
			t.Fatal(err)
		}
		if answer := s.call(t, http.MethodPost, "/orders", string(body)); answer.Code != http.StatusCreated {
			t.Errorf("example %s: %d %s", name, answer.Code, answer.Body)
		}
	}
}

func TestOpenAPI_IsServed(t *testing.T) {
	s := newShop(t)
	for path, want := range map[string][]byte{"/openapi.yaml": openAPIYAML, "/openapi.json": openAPIJSON} {
		if answer := s.call(t, http.MethodGet, path, ""); answer.Code != http.StatusOK || !bytes.Equal(answer.Body.Bytes(), want) {
			t.Errorf("%s: %d, %d bytes", path, answer.Code, answer.Body.Len())
		}
	}
}
