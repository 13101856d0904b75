package observability

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// What stands beside the shop in docker-compose.yml is off by default, pinned, shut in, and mounts what is there.
func TestCompose_ObservabilityIsAside(t *testing.T) {
	var file struct {
		Services map[string]struct {
			Image       string   `yaml:"image"`
			Profiles    []string `yaml:"profiles"`
			ReadOnly    bool     `yaml:"read_only"`
			CapDrop     []string `yaml:"cap_drop"`
			User        string   `yaml:"user"`
			Ports       []string `yaml:"ports"`
			Volumes     []string `yaml:"volumes"`
			Environment any      `yaml:"environment"`
		} `yaml:"services"`
	}
	if err := yaml.Unmarshal(read(t, "docker-compose.yml"), &file); err != nil {
		t.Fatal(err)
	}
	pinned := regexp.MustCompile(`:-[a-z]+/[a-z]+:v?\d+\.\d+\.\d+\}$`)
	beside := []string{"prometheus", "grafana", "jaeger"}
	for _, name := range beside {
		s, ok := file.Services[name]
		if !ok {
			t.Errorf("there is no %s", name)
			continue
		}
		if !slices.Equal(s.Profiles, []string{"observability"}) {
			t.Errorf("%s is in the profiles %v", name, s.Profiles)
		}
		if !pinned.MatchString(s.Image) {
			t.Errorf("%s: the image %s is not pinned", name, s.Image)
		}
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || s.User == "" || s.User == "root" || strings.HasPrefix(s.User, "0") {
			t.Errorf("%s is not shut in: read only %t, drops %v, user %q", name, s.ReadOnly, s.CapDrop, s.User)
		}
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s publishes %s", name, port)
			}
		}
		for _, volume := range s.Volumes {
			from, _, _ := strings.Cut(volume, ":")
			if !strings.HasPrefix(from, "./") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, from)); err != nil || !strings.HasSuffix(volume, ":ro") {
				t.Errorf("%s mounts %s: %v", name, volume, err)
			}
		}
	}
	for name, s := range file.Services {
		if len(s.Profiles) > 0 && slices.Contains([]string{"broker", "postgres", "order", "inventory", "notification", "mail", "collector"}, name) {
			t.Errorf("%s is not started by default", name)
		}
	}
}

// Prometheus is told of every program that has metrics, at the port where compose lets it listen.
func TestCompose_PrometheusFindsEveryProgram(t *testing.T) {
	compose := string(read(t, "docker-compose.yml"))
	for _, file := range []string{"prometheus.yml", "local.yml"} {
		var config struct {
			ScrapeConfigs []struct {
				JobName string `yaml:"job_name"`
				DNS     []struct {
					Names []string `yaml:"names"`
					Port  int      `yaml:"port"`
				} `yaml:"dns_sd_configs"`
			} `yaml:"scrape_configs"`
		}
		if err := yaml.Unmarshal(read(t, "deploy/prometheus/"+file), &config); err != nil {
			t.Fatal(err)
		}
		var jobs []string
		for _, c := range config.ScrapeConfigs {
			jobs = append(jobs, c.JobName)
			for _, d := range c.DNS {
				if len(d.Names) != 1 || d.Names[0] != c.JobName || !strings.Contains(compose, "\n  "+c.JobName+":\n") {
					t.Errorf("%s: job %s asks for %v", file, c.JobName, d.Names)
				}
			}
		}
		var want []string
		for job := range shop(t).texts {
			want = append(want, job)
		}
		slices.Sort(jobs)
		slices.Sort(want)
		if !slices.Equal(jobs, want) {
			t.Errorf("%s scrapes %v, want %v", file, jobs, want)
		}
	}
}
