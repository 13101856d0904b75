package layout

import (
	"path"
	"slices"
	"strings"
	"testing"
)

// The broker's layers, each with what it may import of the broker. Arrows point down; what is below
// a package's own imports it may import too.
var brokerLayers = map[string][]string{
	"broker":                         {"broker/internal/server", "broker/internal/loglevel"},
	"broker/internal/fault":          {},
	"broker/brokercmd":               {"broker", "broker/internal/config"},
	"broker/brokertest":              {"broker"},
	"broker/internal/server":         {"broker/internal/fault", "broker/internal/coordinator", "broker/internal/replica", "broker/internal/cluster", "broker/internal/quota", "broker/internal/acl", "broker/internal/loglevel", "broker/internal/wire", "broker/internal/shares", "broker/internal/txncoordinator", "broker/internal/fetchsession", "broker/internal/principal"},
	"broker/internal/fetchsession":   {},
	"broker/internal/txncoordinator": {"broker/internal/txn", "broker/internal/statelog"},
	"broker/internal/txn":            {},
	"broker/internal/coordinator":    {"broker/internal/group", "broker/internal/statelog"},
	"broker/internal/shares":         {"broker/internal/sharestate"},
	"broker/internal/sharestate":     {"broker/internal/share", "broker/internal/statelog"},
	"broker/internal/share":          {},
	"broker/internal/statelog":       {},
	"broker/internal/replica":        {"broker/internal/storage", "broker/internal/cluster"},
	"broker/internal/cluster":        {"broker/internal/storage", "broker/internal/config", "broker/internal/quota", "broker/internal/acl", "broker/internal/kraft", "broker/internal/sasl"},
	"broker/internal/sasl":           {},
	"broker/internal/kraft":          {"broker/internal/record", "broker/internal/vfs", "broker/internal/acl"},
	"broker/internal/quota":          {},
	"broker/internal/acl":            {},
	"broker/internal/loglevel":       {},
	"broker/internal/storage":        {"broker/internal/cleaner", "broker/internal/vfs"},
	"broker/internal/cleaner":        {"broker/internal/record"},
	"broker/internal/record":         {},
	"broker/internal/vfs":            {},
	"broker/internal/group":          {"broker/internal/assignor"},
	"broker/internal/assignor":       {},
	"broker/internal/storytest":      {},
	"broker/internal/wire":           {},
	"broker/internal/config":         {"broker/internal/principal"},
	"broker/internal/principal":      {},
}

// below is everything that a layer reaches downwards.
func below(layers map[string][]string, name string) []string {
	var reached []string
	queue := slices.Clone(layers[name])
	for len(queue) > 0 {
		next := queue[0]
		queue = queue[1:]
		if !slices.Contains(reached, next) {
			reached = append(reached, next)
			queue = append(queue, layers[next]...)
		}
	}
	return reached
}

// A package inside the broker imports only what lies below it, and nothing else of this repository.
func TestArrows_Broker(t *testing.T) {
	for _, p := range packages(t) {
		name := p.name()
		if !within(name, "broker") {
			continue
		}
		_, listed := brokerLayers[name]
		isMain := within(name, "broker/cmd")
		if !listed && !isMain {
			t.Errorf("%s is not in the list of layers: say there what it may import", name)
			continue
		}
		for _, imported := range ours(p.Imports) {
			switch {
			case !within(imported, "broker"):
				t.Errorf("%s imports %s: the broker stands alone", name, imported)
			case isMain:
			case !slices.Contains(below(brokerLayers, name), imported):
				t.Errorf("%s imports %s: the arrows are %s → %v", name, imported, name, below(brokerLayers, name))
			}
		}
		for _, imported := range ours(slices.Concat(p.TestImports, p.XTestImports)) {
			if !within(imported, "broker") {
				t.Errorf("tests of %s import %s: the broker stands alone", name, imported)
			}
		}
	}
}

// No service imports another service or the broker: they prove the protocol by using it as
// strangers do. pkg imports neither.
func TestArrows_Services(t *testing.T) {
	for _, p := range packages(t) {
		var allowed []string
		switch parts := strings.Split(p.name(), "/"); {
		case parts[0] == "pkg":
			allowed = []string{"pkg"}
		case parts[0] == "services" && len(parts) > 1:
			allowed = []string{"pkg", "services/" + parts[1]}
		default:
			continue
		}
		for _, imported := range ours(slices.Concat(p.Imports, p.TestImports, p.XTestImports)) {
			if !slices.ContainsFunc(allowed, func(a string) bool { return within(imported, a) }) {
				t.Errorf("%s imports %s; it may import %v", p.name(), imported, allowed)
			}
		}
	}
}

// Inside a service: cmd → app → adapters → domain → pkg/events. Adapters do not see one another,
// and the domain sees nothing but the contract.
func TestArrows_InsideServices(t *testing.T) {
	for _, p := range packages(t) {
		parts := strings.Split(p.name(), "/")
		if parts[0] != "services" {
			continue
		}
		service := path.Join("services", parts[1])
		inside := strings.Join(parts[2:], "/")
		for _, imported := range ours(p.Imports) {
			own := strings.TrimPrefix(strings.TrimPrefix(imported, service), "/")
			if !within(imported, service) {
				own = ""
			}
			switch {
			case inside == "" && !within(imported, "pkg/events"):
				t.Errorf("%s is the domain and imports %s; it may import pkg/events", p.name(), imported)
			case inside == "app", within(inside, "cmd") && own == "app":
			case within(inside, "cmd") && within(imported, service):
				t.Errorf("%s imports %s; a main goes through app", p.name(), imported)
			case inside != "" && !within(inside, "cmd") && own != "" && !within(own, inside):
				t.Errorf("%s imports %s; adapters do not see one another", p.name(), imported)
			}
		}
	}
}

// Only the assembled system and its tests see both sides, and nobody imports them.
func TestArrows_NobodyImportsTheRoot(t *testing.T) {
	for _, p := range packages(t) {
		if within(p.name(), "cmd") || within(p.name(), "internal") || within(p.name(), "tests") {
			continue
		}
		for _, imported := range ours(p.Imports) {
			if within(imported, "cmd") || within(imported, "internal") || within(imported, "tests") {
				t.Errorf("%s imports %s of the root module", p.name(), imported)
			}
		}
	}
}

// The contract needs the standard library only: anyone can take it.
func TestArrows_EventsIsStandardLibraryOnly(t *testing.T) {
	found := false
	for _, p := range packages(t) {
		if p.name() != "pkg/events" {
			continue
		}
		found = true
		for _, dep := range p.Deps {
			if strings.Contains(strings.Split(dep, "/")[0], ".") || strings.HasPrefix(dep, "millrace/") {
				t.Errorf("pkg/events depends on %s", dep)
			}
		}
	}
	if !found {
		t.Error("there is no pkg/events")
	}
}

// Only packages made for tests import the testing package.
func TestArrows_TestingStaysInTests(t *testing.T) {
	for _, p := range packages(t) {
		if slices.Contains(p.Imports, "testing") && !strings.HasSuffix(p.name(), "test") {
			t.Errorf("%s imports testing", p.name())
		}
	}
}

// within says whether a package is another or lies in its folder.
func within(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, folder+"/")
}
