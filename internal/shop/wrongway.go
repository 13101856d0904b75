package shop

import (
	"fmt"
	"strings"

	"millrace/pkg/wrongway"
)

// checkWrongWays refuses what no service can be made to do. Each is the name of a way, for every service
// that has it, or service:name, for this one only.
func checkWrongWays(names []string) error {
	for _, name := range names {
		service, way := SplitWrongWay(name)
		ways, err := wrongway.Parse([]string{way})
		if err != nil {
			return err
		}
		switch w := ways[0]; {
		case len(w.Services) == 0:
			return fmt.Errorf("wrong way %s is not one of a service: %s", w.Name, w.Watch)
		case service != "" && !w.In(service):
			return fmt.Errorf("wrong way %s is not one of %q; allowed: %s", w.Name, service, strings.Join(w.Services, ", "))
		}
	}
	for _, service := range []string{Order, Inventory, Notification} {
		if _, err := wrongway.Parse(wrongWaysOf(service, names)); err != nil {
			return fmt.Errorf("%s: %w", service, err)
		}
	}
	return nil
}

// SplitWrongWay returns the one service that is to do it, empty for all, and the name of the way.
func SplitWrongWay(name string) (service, way string) {
	if service, way, ok := strings.Cut(name, ":"); ok {
		return strings.TrimSpace(service), way
	}
	return "", name
}

// wrongWaysOf returns what a service does wrong.
func wrongWaysOf(service string, names []string) []string {
	var of []string
	for _, name := range names {
		only, way := SplitWrongWay(name)
		ways, err := wrongway.Parse([]string{way})
		if err == nil && ways[0].In(service) && (only == "" || only == service) {
			of = append(of, ways[0].Name)
		}
	}
	return of
}

// wrongWayEnviron is what makes a service do the things that it has wrong, if there are any.
func wrongWayEnviron(service string, names []string) []string {
	of := wrongWaysOf(service, names)
	if len(of) == 0 {
		return nil
	}
	return []string{"FAULTS_ENABLED=true", "WRONG_WAYS=" + strings.Join(of, ",")}
}
