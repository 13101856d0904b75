package service_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"millrace/pkg/fault"
	"millrace/pkg/service"
)

func TestFaultConfig_NamesWhatIsWrong(t *testing.T) {
	for rules, want := range map[string]string{
		"FAULTS_ENABLED=perhaps":            "FAULTS_ENABLED",
		"FAULTS=effect.before-commit=error": `FAULTS is "effect.before-commit=error"; allowed is nothing, unless FAULTS_ENABLED=true`,
		"FAULTS_ENABLED=true FAULTS=boom":   `FAULTS: rule "boom"`,
	} {
		_, err := service.FromEnv[config](append(strings.Fields(rules), database))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", rules, err, want)
		}
	}
}

func TestFaultConfig_NewSet(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	if set, err := (service.FaultConfig{}).NewSet(logger, prometheus.NewRegistry(), fault.EffectBeforeCommit); set != nil || err != nil || log.Len() != 0 {
		t.Errorf("not enabled: %v, %v, %s", set, err, &log)
	}
	if _, err := (service.FaultConfig{Allowed: true, Rules: "mail.before-send=error"}).NewSet(logger, prometheus.NewRegistry(), fault.EffectBeforeCommit); err == nil ||
		err.Error() != `FAULTS: point is "mail.before-send"; allowed is effect.before-commit` {
		t.Errorf("a point of another program: %v", err)
	}
	registry := prometheus.NewRegistry()
	set, err := service.FaultConfig{Allowed: true, Rules: "effect.before-commit=error,times=1"}.NewSet(logger, registry, fault.EffectBeforeCommit)
	if err != nil || !strings.Contains(log.String(), "level=WARN msg=\"faults are enabled") {
		t.Fatalf("%v, log %s", err, &log)
	}
	if set.Hit(t.Context(), fault.EffectBeforeCommit) == nil || set.Hit(t.Context(), fault.EffectBeforeCommit) != nil {
		t.Error("the rule does not fire once")
	}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP fault_injections_total Faults that were injected on purpose, by point and kind.
# TYPE fault_injections_total counter
fault_injections_total{kind="error",point="effect.before-commit"} 1
`)); err != nil {
		t.Error(err)
	}
}
