package observability

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const root = "../.."

// rule is one of alerts.yml.
type rule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func decode(t *testing.T, path string, into any) {
	t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader(read(t, path)))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func rules(t *testing.T) []rule {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []rule `yaml:"rules"`
		} `yaml:"groups"`
	}
	decode(t, "deploy/prometheus/alerts.yml", &file)
	var all []rule
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) < 15 {
		t.Fatalf("only %d alerts were found", len(all))
	}
	return all
}

// Every metric and label of an alert is exposed, by its expression and by its text.
func TestAlerts_NameWhatIsExposed(t *testing.T) {
	e := shop(t)
	used := regexp.MustCompile(`\$labels\.([a-z_]+)`)
	for _, r := range rules(t) {
		found := selectors(r.Expr)
		if len(found) == 0 {
			t.Errorf("%s: no metric in %s", r.Alert, r.Expr)
		}
		for _, s := range found {
			if err := e.has(s); err != nil {
				t.Errorf("%s: %v", r.Alert, err)
			}
			for _, text := range r.Annotations {
				for _, m := range used.FindAllStringSubmatch(text, -1) {
					if err := e.has(selector{s.metric, []matcher{{name: m[1]}}}); err != nil {
						t.Errorf("%s says {{ $labels.%s }}: %v", r.Alert, m[1], err)
					}
					if by := grouping.FindStringSubmatch(r.Expr); by != nil && !strings.Contains(by[2], m[1]) {
						t.Errorf("%s says {{ $labels.%s }}, which its expression aggregates away", r.Alert, m[1])
					}
				}
			}
		}
	}
}

// Every alert says how urgent it is, what it means and what to do, has its place in the documentation, and a test.
func TestAlerts_SayWhatToDo(t *testing.T) {
	docs := string(read(t, "docs/observability.md"))
	tests := string(read(t, "deploy/prometheus/alerts_test.yml"))
	seen := map[string]bool{}
	for _, r := range rules(t) {
		if seen[r.Alert] {
			t.Errorf("%s is there twice", r.Alert)
		}
		seen[r.Alert] = true
		if !slices.Contains([]string{"page", "ticket", "info"}, r.Labels["severity"]) {
			t.Errorf("%s: severity %q", r.Alert, r.Labels["severity"])
		}
		for _, part := range []string{"summary", "description", "runbook"} {
			if r.Annotations[part] == "" {
				t.Errorf("%s has no %s", r.Alert, part)
			}
		}
		if want := "docs/observability.md#" + strings.ToLower(r.Alert); r.Annotations["runbook_url"] != want {
			t.Errorf("%s: runbook_url %q, want %s", r.Alert, r.Annotations["runbook_url"], want)
		}
		if !strings.Contains(docs, "\n### "+r.Alert+"\n") {
			t.Errorf("docs/observability.md has no section %s", r.Alert)
		}
		if !strings.Contains(tests, `alertname="`+r.Alert+`"`) {
			t.Errorf("alerts_test.yml does not see %s fire", r.Alert)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^### (\w+)$`).FindAllStringSubmatch(docs, -1) {
		if !seen[m[1]] {
			t.Errorf("docs/observability.md tells of an alert %s that is none", m[1])
		}
	}
}

// panel is what counts of one in a dashboard.
type panel struct {
	ID         int
	Type       string
	Title      string
	Datasource *struct{ UID string }
	Targets    []struct {
		Expr         string
		LegendFormat string
		Datasource   *struct{ UID string }
	}
	GridPos struct{ X, Y, W, H int }
}

func panels(t *testing.T) []panel {
	t.Helper()
	var dashboard struct {
		UID    string
		Panels []panel
	}
	if err := json.Unmarshal(read(t, "deploy/grafana/dashboards/millrace.json"), &dashboard); err != nil {
		t.Fatal(err)
	}
	if len(dashboard.Panels) < 20 || dashboard.UID == "" {
		t.Fatalf("the dashboard has %d panels and the uid %q", len(dashboard.Panels), dashboard.UID)
	}
	return dashboard.Panels
}

// Every metric and label of the dashboard is exposed, its data source is provisioned, and no panel lies on another.
func TestDashboard_NamesWhatIsExposed(t *testing.T) {
	e := shop(t)
	var sources struct {
		APIVersion  int              `yaml:"apiVersion"`
		Datasources []map[string]any `yaml:"datasources"`
	}
	decode(t, "deploy/grafana/provisioning/datasources/millrace.yml", &sources)
	known := map[string]bool{}
	for _, s := range sources.Datasources {
		known[s["uid"].(string)] = true
	}
	legend := regexp.MustCompile(`\{\{\s*([a-z_]+)\s*\}\}`)
	type cell struct{ x, y int }
	taken, ids := map[cell]string{}, map[int]bool{}
	for _, p := range panels(t) {
		if ids[p.ID] {
			t.Errorf("two panels have the id %d", p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[cell{x, y}]; other != "" {
					t.Fatalf("%q lies on %q", p.Title, other)
				}
				taken[cell{x, y}] = p.Title
			}
		}
		if p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("%q is wider than the page", p.Title)
		}
		if p.Type == "row" {
			continue
		}
		if p.Datasource == nil || !known[p.Datasource.UID] || len(p.Targets) == 0 {
			t.Errorf("%q has no data source that is provisioned, or asks for nothing", p.Title)
		}
		for _, target := range p.Targets {
			for _, s := range selectors(target.Expr) {
				for _, m := range legend.FindAllStringSubmatch(target.LegendFormat, -1) {
					s.labels = append(s.labels, matcher{name: m[1]})
				}
				if err := e.has(s); err != nil {
					t.Errorf("%q: %v", p.Title, err)
				}
			}
		}
	}
}

// Every metric of ours is explained, and nothing is explained that is not there.
func TestDocs_ExplainEveryMetric(t *testing.T) {
	e := shop(t)
	docs := string(read(t, "docs/observability.md"))
	explained := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)`").FindAllStringSubmatch(docs, -1) {
		explained[m[1]] = true
	}
	exposed := map[string]bool{}
	for _, families := range e.families {
		for _, f := range families {
			exposed[f.GetName()] = true
		}
	}
	for name := range exposed {
		if ours(name) && !explained[name] {
			t.Errorf("docs/observability.md does not explain %s", name)
		}
	}
	for name := range explained {
		if !exposed[name] {
			t.Errorf("docs/observability.md explains %s, which nothing exposes", name)
		}
	}
}

// Prometheus itself reads the rules and the configuration, the expressions of the dashboard parse, and the alerts fire when they should.
func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		const why = "promtool is not there: install Debian's package prometheus, or Prometheus from https://prometheus.io/download/"
		if os.Getenv("MILLRACE_REQUIRE_PEERS") == "1" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	type recorded struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	var expressions []recorded
	for _, p := range panels(t) {
		for _, target := range p.Targets {
			expressions = append(expressions, recorded{"panel", strings.ReplaceAll(target.Expr, "$__rate_interval", "1m")})
		}
	}
	var file struct {
		Groups [1]struct {
			Name  string     `yaml:"name"`
			Rules []recorded `yaml:"rules"`
		} `yaml:"groups"`
	}
	file.Groups[0].Name, file.Groups[0].Rules = "dashboard", expressions
	content, err := yaml.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	dashboard := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(dashboard, content, 0o600); err != nil {
		t.Fatal(err)
	}
	at := func(file string) string { return filepath.Join(root, "deploy/prometheus", file) }
	for _, args := range [][]string{
		{"check", "rules", at("alerts.yml")},
		{"check", "rules", dashboard},
		{"check", "config", at("prometheus.yml")},
		{"check", "config", at("local.yml")},
		{"test", "rules", at("alerts_test.yml")},
	} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
