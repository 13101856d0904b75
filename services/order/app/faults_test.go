package app_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"millrace/pkg/messaging"
	"millrace/pkg/postgres/postgrestest"
	"millrace/pkg/service/servicetest"
	"millrace/services/order/app"
)

func startWithFaults(t *testing.T, kafka messaging.Config, rules string) *servicetest.Running {
	t.Helper()
	c, err := app.FromEnv([]string{"DATABASE_URL=" + postgrestest.NewURL(t), "FAULTS_ENABLED=true", "FAULTS=" + rules})
	if err != nil {
		t.Fatal(err)
	}
	c.Kafka = kafka
	return servicetest.Start(t, func(ctx context.Context, l net.Listener, logs io.Writer) error {
		c.Listener, c.Logs = l, logs
		return app.Run(ctx, c)
	})
}

// Unless they are enabled, faults can be neither set nor seen.
func TestRun_FaultsAreOff(t *testing.T) {
	t.Parallel()
	s := start(t, servicetest.Broker(t), postgrestest.NewURL(t))
	s.Ready()
	if status, body := s.Do(http.MethodPut, "/admin/faults/order.before-commit", `{"kind":"crash"}`); status != http.StatusForbidden || !strings.Contains(body, "FAULTS_ENABLED=true") {
		t.Errorf("%d %s", status, body)
	}
	place(t, s)
	if _, metrics := s.Do(http.MethodGet, "/metrics", ""); strings.Contains(metrics, "fault_injections_total") {
		t.Error("the metric of faults is there")
	}
}

// An order that is not stored is answered 503, one whose answer is lost is not answered
// at all; both cures are in the client's hands.
func TestRun_Faults(t *testing.T) {
	t.Parallel()
	s := startWithFaults(t, servicetest.Broker(t), "order.before-commit=error,times=1")
	s.Ready()
	if status, body := s.Do(http.MethodPost, "/orders", beans); status != http.StatusServiceUnavailable || !strings.Contains(body, "/problems/injected-fault") {
		t.Errorf("%d %s", status, body)
	}
	place(t, s)
	if status, body := s.Do(http.MethodPut, "/admin/faults/order.after-commit", `{"kind":"error","match":{"product_id":"coffee-beans"}}`); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	if status, body := s.Do(http.MethodPost, "/orders", beans); status != 0 || !strings.Contains(body, "EOF") {
		t.Errorf("%d %s, want no answer", status, body)
	}
	if status, _ := s.Do(http.MethodDelete, "/admin/faults", ""); status != http.StatusNoContent {
		t.Error(status)
	}
	if _, body := s.Do(http.MethodGet, "/orders", ""); strings.Count(body, `"order_id"`) != 2 {
		t.Errorf("orders %s, want 2", body)
	}
	s.Answers("/metrics", http.StatusOK, `fault_injections_total{kind="error",point="order.after-commit"} 1`)
	if logs := s.Logs.String(); !strings.Contains(logs, `msg="fault injected" service=order point=order.after-commit kind=error order_id=`) {
		t.Errorf("log:\n%s", logs)
	}
}
