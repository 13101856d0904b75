package server

import (
	"regexp"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/cluster"
)

// ApiVersions (API key 18), versions 0–4.
//
//	v1 throttle time   v3 flexible, client software (KIP-511), features (KIP-584)
//	v4 features with minimum version 0 (KIP-1022)
//
// The answer to a version that we do not know is a body of version 0 with
// UNSUPPORTED_VERSION and this key's range, so that the client can ask again. The
// response header has version 0 always: the client knows nothing of us yet.
func init() { register(18, 0, 4, (*Server).apiVersions) }

// softwarePattern is what a client may call itself (KIP-511).
var softwarePattern = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$`)

func (s *Server) apiVersions(r *Request, req *kmsg.ApiVersionsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
	if r.login != nil && r.login.failed != nil {
		resp.ErrorCode = kerr.IllegalSaslState.Code
		return resp
	}
	if r.Version >= 3 && !(softwarePattern.MatchString(req.ClientSoftwareName) && softwarePattern.MatchString(req.ClientSoftwareVersion)) {
		resp.ErrorCode = kerr.InvalidRequest.Code
		return resp
	}
	for _, a := range Registered() {
		resp.ApiKeys = append(resp.ApiKeys, apiVersionsKey(a))
	}
	image := s.cluster.Image()
	for _, f := range cluster.Features() {
		// Java clients up to 3.x throw on a minimum of 0 (KIP-1022).
		if f.Min > 0 || r.Version >= 4 {
			sf := kmsg.NewApiVersionsResponseSupportedFeature()
			sf.Name, sf.MinVersion, sf.MaxVersion = f.Name, f.Min, f.Max
			resp.SupportedFeatures = append(resp.SupportedFeatures, sf)
		}
		if level := image.FeatureLevel(f.Name); level > 0 {
			ff := kmsg.NewApiVersionsResponseFinalizedFeature()
			ff.Name, ff.MinVersionLevel, ff.MaxVersionLevel = f.Name, level, level
			resp.FinalizedFeatures = append(resp.FinalizedFeatures, ff)
		}
	}
	resp.FinalizedFeaturesEpoch = image.Offset
	if r.login != nil {
		r.login.greeted = true
	}
	return resp
}

func apiVersionsKey(a APIRange) kmsg.ApiVersionsResponseApiKey {
	k := kmsg.NewApiVersionsResponseApiKey()
	k.ApiKey, k.MinVersion, k.MaxVersion = a.Key, a.MinVersion, a.MaxVersion
	return k
}

// unsupportedAPIVersions answers a version that is not registered.
func unsupportedAPIVersions() kmsg.Response {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.ErrorCode = kerr.UnsupportedVersion.Code
	a := lookup(int16(kmsg.ApiVersions))
	resp.ApiKeys = append(resp.ApiKeys, apiVersionsKey(APIRange{a.key, a.minVersion, a.maxVersion}))
	return resp
}
