// Package layout holds the tests that keep the shape of the repository true: which package may
// import which, where the environment is read, that the modules agree, that links in documents lead
// somewhere, and that the two READMEs give the same commands.
package layout
