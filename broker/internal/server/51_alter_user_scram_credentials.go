package server

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
	"millrace/broker/internal/sasl"
)

// AlterUserScramCredentials (API key 51), version 0 (KIP-554). The client salts and hashes the password;
// what is kept of that is worked out here.
func init() { register(51, 0, 0, (*Server).alterUserScramCredentials) }

func (s *Server) alterUserScramCredentials(r *Request, req *kmsg.AlterUserSCRAMCredentialsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.AlterUserSCRAMCredentialsResponse)
	var changes []cluster.ScramChange
	errs := map[string]error{} // by user: one answer each, the first refusal of all its changes
	var users []string
	note := func(user string, err error) {
		old, known := errs[user]
		if !known {
			users = append(users, user)
		}
		if old == nil {
			errs[user] = err
		}
	}
	add := func(change cluster.ScramChange, err error) {
		if _, again := errs[change.User]; again { // by whatever mechanism
			err = &cluster.Error{Kind: cluster.ErrDuplicateResource, Message: "A user credential cannot be altered twice in the same request"}
		}
		note(change.User, err)
		changes = append(changes, change)
	}
	denied := s.onCluster(r, acl.Alter)
	for _, d := range req.Deletions {
		if denied != nil {
			note(d.Name, denied)
			continue
		}
		key := cluster.ScramKey{User: d.Name, Mechanism: scramMechanisms[d.Mechanism]}
		add(cluster.ScramChange{ScramKey: key}, s.cluster.Image().CheckScramDeletion(key))
	}
	for _, u := range req.Upsertions {
		if denied != nil {
			note(u.Name, denied)
			continue
		}
		key := cluster.ScramKey{User: u.Name, Mechanism: scramMechanisms[u.Mechanism]}
		change := cluster.ScramChange{ScramKey: key}
		err := cluster.CheckScram(key.User, key.Mechanism, u.Iterations)
		if err == nil && len(u.SaltedPassword) == 0 { // whoever knows that could log in
			err = &cluster.Error{Kind: cluster.ErrUnacceptableCredential, Message: "Empty salted password"}
		}
		if err == nil {
			credential := sasl.CredentialOf(key.Mechanism, u.Salt, u.SaltedPassword, u.Iterations)
			change.Set = &credential
		}
		add(change, err)
	}
	// A user with a refused change keeps all as it was.
	var good []cluster.ScramChange
	for _, change := range changes {
		if errs[change.User] == nil {
			good = append(good, change)
		}
	}
	for i, err := range s.cluster.AlterScram(r.Context(), good) {
		note(good[i].User, err)
	}
	for _, user := range users {
		result := kmsg.NewAlterUserSCRAMCredentialsResponseResult()
		result.User = user
		if denied != nil {
			result.ErrorCode, result.ErrorMessage = denied.Code, deniedText(denied)
		} else {
			result.ErrorCode, result.ErrorMessage = s.refusal(errs[user], "alter SCRAM users", "")
		}
		resp.Results = append(resp.Results, result)
	}
	return resp
}
