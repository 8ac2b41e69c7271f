package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"orch/modules/host"
	"orch/modules/target"
	"orch/transport"
)

// floor is what no engine over these connections can be faster than: it connects to every
// host of an inventory and sends each as many empty requests as told, one after the other.
func floor(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: floor INVENTORY REQUESTS")
	}
	requests, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	specs, err := readInventory(args[0])
	if err != nil {
		return err
	}
	pool := target.NewPool(target.PoolConfig{})
	var group errgroup.Group
	for _, spec := range specs {
		group.Go(func() error {
			ctx := context.Background()
			place, err := pool.Connect(ctx, spec)
			if err != nil {
				return err
			}
			for range requests {
				res, err := place.Run(ctx, target.Request{Module: "ansible.builtin.ping", Args: &host.Ping{Data: "pong"}})
				if err != nil {
					return err
				}
				if res.Failure != nil {
					return res.Failure
				}
			}
			return nil
		})
	}
	return errors.Join(group.Wait(), pool.Close())
}

// readInventory reads the plain inventories of the lab and of servers: hosts with
// variables and one section of variables for all.
func readInventory(path string) ([]target.HostSpec, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var specs []target.HostSpec
	all := map[string]string{}
	vars := false
	for line := range strings.Lines(string(text)) {
		words, err := transport.Split(strings.TrimSpace(line))
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s: %w", path, err)
		case len(words) == 0:
		case strings.HasPrefix(words[0], "["):
			vars = strings.HasSuffix(words[0], ":vars]")
		case vars:
			key, val, _ := strings.Cut(words[0], "=")
			all[key] = val
		default:
			spec := target.HostSpec{Name: words[0]}
			for _, word := range words[1:] {
				switch key, val, _ := strings.Cut(word, "="); key {
				case "ansible_host":
					spec.Address = val
				case "ansible_port":
					if spec.Port, err = strconv.Atoi(val); err != nil {
						return nil, fmt.Errorf("%s: %w", path, err)
					}
				}
			}
			specs = append(specs, spec)
		}
	}
	for i := range specs {
		specs[i].User, specs[i].KeyFile, specs[i].CommonArgs = all["ansible_user"], all["ansible_ssh_private_key_file"], all["ansible_ssh_common_args"]
	}
	return specs, nil
}
