// Package run executes a loaded playbook: strategies, loops, blocks, handlers. It emits
// typed events to one sink and prints nothing.
package run
