// SPDX-License-Identifier: GPL-3.0-or-later

// kube-proxy-types reads a JSON list of texts and says of each, in a JSON list too, what today's types of kube-proxy make of it: the
// configuration ("configuration"), or what a strict decoder says ("error").
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/kube-proxy/config/v1alpha1"
	"sigs.k8s.io/yaml"
)

type answer struct {
	Configuration *v1alpha1.KubeProxyConfiguration `json:"configuration,omitempty"`
	Error         string                           `json:"error,omitempty"`
}

func main() {
	var texts []string
	if err := json.NewDecoder(os.Stdin).Decode(&texts); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	answers := []answer{}
	for _, text := range texts {
		var configuration v1alpha1.KubeProxyConfiguration
		if err := yaml.UnmarshalStrict([]byte(text), &configuration); err != nil {
			answers = append(answers, answer{Error: err.Error()})
		} else {
			answers = append(answers, answer{Configuration: &configuration})
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
