package course

import (
	"context"

	"millrace/internal/scenario"
	"millrace/internal/shop"
	"millrace/pkg/wrongway"
)

var wrongAckBeforeWork = scenario.Scenario{
	Name: "wrong-" + wrongway.AckBeforeWork, Needs: scenario.PrivateShop, Course: []string{"D2", "F"},
	Play: func(ctx context.Context, s *scenario.Stage) (scenario.Evidence, error) {
		return bothWays(ctx, s, wrongway.AckBeforeWork, map[string]string{shop.Inventory: failsOnce}, playFailsOnce)
	},
}
