// SPDX-License-Identifier: GPL-3.0-or-later

// kube-proxy-check reads a JSON list of texts and says of each, in a JSON list too, what kube-proxy makes of it: the configuration
// as kube-proxy holds it ("configuration"), what its strict decoder says ("error"), or what its validation says ("invalid").
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/kubernetes/pkg/proxy/apis/config"
	"k8s.io/kubernetes/pkg/proxy/apis/config/scheme"
	"k8s.io/kubernetes/pkg/proxy/apis/config/validation"
)

type answer struct {
	Configuration *config.KubeProxyConfiguration `json:"configuration,omitempty"`
	Error         string                         `json:"error,omitempty"`
	Invalid       string                         `json:"invalid,omitempty"`
}

func main() {
	var texts []string
	if err := json.NewDecoder(os.Stdin).Decode(&texts); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDecoder()
	answers := []answer{}
	for _, text := range texts {
		answers = append(answers, check(text, func(text string) (interface{}, error) {
			object, _, err := decoder.Decode([]byte(text), nil, nil)
			return object, err
		}))
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func check(text string, decode func(string) (interface{}, error)) answer {
	object, err := decode(text)
	if err != nil {
		return answer{Error: err.Error()}
	}
	configuration, ok := object.(*config.KubeProxyConfiguration)
	if !ok {
		return answer{Error: fmt.Sprintf("%T is no KubeProxyConfiguration", object)}
	}
	if errs := validation.Validate(configuration); len(errs) != 0 {
		return answer{Configuration: configuration, Invalid: errs.ToAggregate().Error()}
	}
	return answer{Configuration: configuration}
}
