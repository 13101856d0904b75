package postgres_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"millrace/pkg/postgres/postgrestest"
)

func TestMain(m *testing.M) {
	code := postgrestest.Main(m)
	if err := goleak.Find(); err != nil && code == 0 {
		println(err.Error())
		code = 1
	}
	os.Exit(code)
}
