package shop

import (
	"fmt"
	"slices"
	"strings"

	"millrace/pkg/wrongway"
)

// checkWrongWays refuses what no service can be made to do.
func checkWrongWays(names []string) error {
	ways, err := wrongway.Parse(names)
	if err != nil {
		return err
	}
	for _, w := range ways {
		if len(w.Services) == 0 {
			return fmt.Errorf("wrong way %s is not one of a service: %s", w.Name, w.Watch)
		}
	}
	return nil
}

// wrongWayEnviron is what makes a service do the things that it has wrong, if there are any.
func wrongWayEnviron(service string, names []string) []string {
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		ways, err := wrongway.Parse([]string{name})
		return err != nil || !ways[0].In(service)
	})
	if len(names) == 0 {
		return nil
	}
	return []string{"FAULTS_ENABLED=true", "WRONG_WAYS=" + strings.Join(names, ",")}
}
