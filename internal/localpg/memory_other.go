//go:build unix && !linux

package localpg

// scratch gives the directory for throwaway data: "" is the system's.
func scratch() string { return "" }
