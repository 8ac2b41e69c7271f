package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// nearestTags asks a registry for tags like the one that cannot be pulled: most likely
// one of them was meant. It is part of explaining a failure, so it has little time, and
// whatever goes wrong the answer is none. A registry that the image does not name, the
// node's default, is not asked: a node may be told to use a mirror of it.
func nearestTags(ctx context.Context, image string) []string {
	host, path, _ := strings.Cut(image, "/")
	colon := strings.LastIndexByte(path, ':')
	if !strings.ContainsAny(host, ".:") && host != "localhost" || colon < 0 || strings.Contains(path, "@") {
		return nil
	}
	repository, tag := path[:colon], path[colon+1:]
	ctx, cancel := context.WithTimeout(ctx, 700*time.Millisecond)
	defer cancel()
	scheme := "https"
	if name, _, err := net.SplitHostPort(host); err == nil && (name == "localhost" || net.ParseIP(name).IsLoopback()) {
		scheme = "http" // as container engines do on loopback
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+host+"/v2/"+repository+"/tags/list", nil)
	if err != nil {
		return nil
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	var answer struct {
		Tags []string `json:"tags"`
	}
	if resp.StatusCode != http.StatusOK || json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&answer) != nil {
		return nil
	}
	return nearest(tag, answer.Tags)
}

// nearest are up to three tags that begin most like one that is not there, the newest of
// them first.
func nearest(tag string, tags []string) []string {
	if slices.Contains(tags, tag) {
		return nil // it has come since
	}
	tags = slices.Clone(tags)
	slices.SortFunc(tags, func(a, b string) int {
		return cmp.Or(cmp.Compare(sharedPrefix(tag, b), sharedPrefix(tag, a)), natural(b, a))
	})
	return tags[:min(3, len(tags))]
}

func sharedPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
