package course

import (
	"context"

	"millrace/internal/scenario"
	"millrace/internal/shop"
	"millrace/pkg/wrongway"
)

var wrongDedupBeforeHandler = scenario.Scenario{
	Name: "wrong-" + wrongway.DedupBeforeHandler, Needs: scenario.PrivateShop, Course: []string{"D2", "F"},
	Play: func(ctx context.Context, s *scenario.Stage) (scenario.Evidence, error) {
		return bothWays(ctx, s, wrongway.DedupBeforeHandler, map[string]string{shop.Inventory: failsOnce}, playFailsOnce)
	},
}
