// Package wrongways watches each wrong way fail, with the services, a real Postgres and the real broker, and
// the right way hold under the same fault.
package wrongways
