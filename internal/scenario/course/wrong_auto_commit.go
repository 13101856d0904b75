package course

import (
	"context"

	"millrace/internal/scenario"
	"millrace/internal/shop"
	"millrace/pkg/wrongway"
)

var wrongAutoCommit = scenario.Scenario{
	Name: "wrong-" + wrongway.AutoCommit, Needs: scenario.PrivateShop, Course: []string{"D2", "F"},
	Play: func(ctx context.Context, s *scenario.Stage) (scenario.Evidence, error) {
		return bothWays(ctx, s, wrongway.AutoCommit, map[string]string{shop.Inventory: failsOnce}, playFailsOnce)
	},
}
