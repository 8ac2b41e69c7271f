//go:build deps

package orch

import (
	_ "github.com/BurntSushi/toml"
	_ "github.com/Masterminds/sprig/v3"
	_ "github.com/creack/pty"
	_ "github.com/distribution/reference"
	_ "github.com/dlclark/regexp2"
	_ "github.com/docker/docker/client"
	_ "github.com/go-crypt/crypt"
	_ "github.com/google/go-cmp/cmp"
	_ "github.com/hashicorp/go-multierror"
	_ "github.com/hashicorp/yamux"
	_ "github.com/jmespath/go-jmespath"
	_ "github.com/kevinburke/ssh_config"
	_ "github.com/klauspost/compress/zstd"
	_ "github.com/pkg/sftp"
	_ "github.com/pmezard/go-difflib/difflib"
	_ "github.com/rogpeppe/go-internal/testscript"
	_ "github.com/spf13/cobra"
	_ "golang.org/x/crypto/ssh"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/sys/unix"
	_ "golang.org/x/term"
	_ "gopkg.in/yaml.v3"
	_ "k8s.io/api/core/v1"
	_ "k8s.io/apimachinery/pkg/runtime"
	_ "k8s.io/client-go/kubernetes"
	_ "sigs.k8s.io/yaml"
)
