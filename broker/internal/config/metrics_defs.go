package config

// clientMetricsDefs are the settings of a subscription to metrics of clients (KIP-714). They are kept; what
// the metrics would go to is a plug-in in Kafka, of which there are none here.
var clientMetricsDefs = []Def{
	{Name: "interval.ms", Type: Int, Default: "300000",
		Doc: "How often clients are asked for their metrics: 100 ms to one hour."},
	{Name: "match", Type: List, Default: "",
		Doc: "Which clients are asked: name=regular expression, all of which must fit."},
	{Name: "metrics", Type: List, Default: "",
		Doc: "Which metrics are asked for, by the beginning of their names; * is all."},
}

// DescribeClientMetrics returns a subscription's settings in order of name, given those
// that it sets itself.
func DescribeClientMetrics(set map[string]string) []Entry {
	out := make([]Entry, 0, len(clientMetricsDefs))
	for _, d := range defs[ClientMetricsLevel] {
		e := Entry{Def: d, Value: d.Default, Source: Default}
		if v, ok := set[d.Name]; ok {
			e.Value, e.Source = v, DynamicClientMetrics
			e.Values = []Value{{d.Name, v, DynamicClientMetrics}}
		}
		out = append(out, e)
	}
	return out
}
