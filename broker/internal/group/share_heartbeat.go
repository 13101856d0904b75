package group

import "github.com/twmb/franz-go/pkg/kerr"

func (g *Group) onShareHeartbeat(in ShareHeartbeat) {
	g.refuseHeartbeat(in.Ref, refuse(kerr.UnsupportedVersion, "share groups"))
}
