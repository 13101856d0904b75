package orderrun

import (
	"fmt"
	"math/rand/v2"

	"millrace/internal/shopclient"
)

// plan is what will be ordered, made from a seed: the same seed gives the same
// orders and the same numbers of confirmed and rejected ones, however the orders
// overtake one another.
type plan struct {
	orders []shopclient.NewOrder
	demand map[string]int64 // by product with stock for everyone
	scarce string           // product with stock for some
	wanted int64            // orders that want one of it
	stock  int64            // how many get it
}

// scarceEvery is how many orders there are to one that wants the scarce product.
const scarceEvery = 4

// customers is how many different customers order.
const customers = 100

// makePlan spreads orders over the products. run is put into the customers' ids,
// so that the orders of this run can be told from all others.
func makePlan(n int, seed uint64, run string, products []shopclient.Product) (plan, error) {
	if len(products) < 2 {
		return plan{}, fmt.Errorf("the shop sells %d products, at least 2 are needed", len(products))
	}
	r := rand.New(rand.NewPCG(seed, 0))
	p := plan{demand: map[string]int64{}, scarce: products[len(products)-1].ID}
	plenty := products[:len(products)-1]
	for i := range n {
		o := shopclient.NewOrder{CustomerID: fmt.Sprintf("customer_%03d-%s", r.IntN(customers), run)}
		for _, at := range r.Perm(len(plenty))[:1+r.IntN(min(3, len(plenty)))] {
			line := shopclient.Line{ProductID: plenty[at].ID, Quantity: 1 + r.Int64N(3)}
			o.Items = append(o.Items, line)
			p.demand[line.ProductID] += line.Quantity
		}
		if i%scarceEvery == 1 {
			o.Items = append(o.Items, shopclient.Line{ProductID: p.scarce, Quantity: 1})
			p.wanted++
		}
		p.orders = append(p.orders, o)
	}
	p.stock = p.wanted / 2
	return p, nil
}

// rejected is how many orders must end without stock.
func (p plan) rejected() int { return int(p.wanted - p.stock) }
