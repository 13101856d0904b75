package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/sasl"
)

// DescribeUserScramCredentials (API key 50), version 0 (KIP-554). It tells mechanisms and
// iterations, never what is stored.
func init() { register(50, 0, 0, (*Server).describeUserScramCredentials) }

// scramMechanisms are Kafka's numbers.
var scramMechanisms = map[int8]string{1: sasl.ScramSHA256, 2: sasl.ScramSHA512}

func scramNumber(mechanism string) int8 {
	for number, name := range scramMechanisms {
		if name == mechanism {
			return number
		}
	}
	return 0
}

func (s *Server) describeUserScramCredentials(r *Request, req *kmsg.DescribeUserSCRAMCredentialsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeUserSCRAMCredentialsResponse)
	if denied := s.onCluster(r, acl.Describe); denied != nil {
		resp.ErrorCode, resp.ErrorMessage = denied.Code, deniedText(denied)
		for range req.Users { // without the names, as Kafka
			result := kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
			result.ErrorCode, result.ErrorMessage = denied.Code, deniedText(denied)
			resp.Results = append(resp.Results, result)
		}
		return resp
	}
	resp.ErrorMessage = text("") // not null, as in Kafka
	image := s.cluster.Image()
	infos := map[string][]kmsg.DescribeUserSCRAMCredentialsResponseResultCredentialInfo{}
	var users []string
	for _, key := range image.ScramKeys() {
		if len(infos[key.User]) == 0 {
			users = append(users, key.User)
		}
		credential, _ := image.Scram(key.User, key.Mechanism)
		info := kmsg.NewDescribeUserSCRAMCredentialsResponseResultCredentialInfo()
		info.Mechanism, info.Iterations = scramNumber(key.Mechanism), credential.Iterations
		infos[key.User] = append(infos[key.User], info)
	}
	if len(req.Users) > 0 {
		users = nil
		seen := map[string]bool{}
		for _, u := range req.Users {
			if !seen[u.Name] {
				users = append(users, u.Name)
			}
			seen[u.Name] = true
		}
	}
	twice := duplicates(req.Users, func(u *kmsg.DescribeUserSCRAMCredentialsRequestUser) string { return u.Name })
	for _, user := range users {
		result := kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
		result.User = user
		switch {
		case twice[user]:
			result.ErrorCode = kerr.DuplicateResource.Code
			result.ErrorMessage = text("Cannot describe SCRAM credentials for the same user twice in a single request: " + user)
		case len(infos[user]) == 0:
			result.ErrorCode = kerr.ResourceNotFound.Code
			result.ErrorMessage = text("Attempt to describe a user credential that does not exist: " + user)
		default:
			result.ErrorMessage, result.CredentialInfos = text(""), infos[user]
		}
		resp.Results = append(resp.Results, result)
	}
	return resp
}
