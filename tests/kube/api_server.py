# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for a Kubernetes API server with its DaemonSet controller and kubelets.

It speaks the part of the real protocol that kubernetes.core and the kubernetes client use: discovery (/version, /api, /apis and the resource
lists), reading one object or a list by label, JSON merge patches with dryRun and with the conflict of an outdated resourceVersion, Status
objects for errors, bearer tokens. Behind it, a rollout goes on by one node each time the DaemonSet is read.
It is for the versions that the real one in tests/kube/real is not, and for the cluster beside EKS's endpoint: any version, EKS's marks, Fargate.
"""

from __future__ import annotations

import copy

from tests.kube.http_json import Error, JsonServer

TOKEN = "stand-in"
RESOURCES = {
    "/api/v1": [("configmaps", "ConfigMap", True), ("nodes", "Node", False)],
    "/apis/apps/v1": [("daemonsets", "DaemonSet", True)],
}
LABELS = {"k8s-app": "kube-proxy"}


class ApiServer(JsonServer):
    """A cluster of ``nodes`` with one kube-proxy DaemonSet.

    ``configmap``, ``key``, ``mount``: where its configuration is: the ConfigMap's name and key, and the directory it is mounted at.
    ``build``: what its distribution appends to the API server's version. ``fargate``: whether EKS runs pods on a Fargate node too.
    """

    def __init__(
        self,
        *,
        configmap: str,
        key: str,
        mount: str,
        text: str,
        version="1.34",
        build="",
        image=None,
        nodes=("node1", "node2", "node3"),
        kernel="6.1.0-18-amd64",
        fargate=False,
    ):
        super().__init__()
        self.version = version
        self.build = build
        self.nodes = nodes
        self.rolled_out = len(nodes)
        self.objects: dict[tuple[str, str], dict] = {}
        self._version = 100
        self._add("ConfigMap", configmap, data={key: text, "kubeconfig.conf": "apiVersion: v1\nkind: Config\n"})
        self._add(
            "DaemonSet",
            "kube-proxy",
            spec={
                "selector": {"matchLabels": LABELS},
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
                "template": {
                    "metadata": {"labels": LABELS},
                    "spec": {
                        "containers": [
                            {
                                "name": "kube-proxy",
                                "image": image or f"registry.k8s.io/kube-proxy:v{version}.2",
                                "command": ["/usr/local/bin/kube-proxy", f"--config={mount}/{key}", "--hostname-override=$(NODE_NAME)"],
                                "volumeMounts": [{"name": "lib-modules", "mountPath": "/lib/modules"}, {"name": "config", "mountPath": mount}],
                            }
                        ],
                        "volumes": [
                            {"name": "lib-modules", "hostPath": {"path": "/lib/modules"}},
                            {"name": "config", "configMap": {"name": configmap}},
                        ],
                    },
                },
            },
        )
        for node in nodes:
            self._add("Node", node, status={"nodeInfo": {"kernelVersion": kernel, "operatingSystem": "linux"}})
        if fargate:
            self._add("Node", "fargate-1", status={"nodeInfo": {"kernelVersion": "5.10.245", "operatingSystem": "linux"}})
            self.objects["Node", "fargate-1"]["metadata"]["labels"] = {"eks.amazonaws.com/compute-type": "fargate"}

    # What a test looks at

    @property
    def daemonset(self) -> dict:
        return self.objects["DaemonSet", "kube-proxy"]

    def text(self, configmap: str, key: str) -> str:
        return self.objects["ConfigMap", configmap]["data"][key]

    def restarts(self) -> int:
        """How often the pods' template was changed."""
        return self.daemonset["metadata"]["generation"] - 1

    # The protocol

    def answer(self, method, path, query, body, headers):
        if headers.get("Authorization") != f"Bearer {TOKEN}":
            raise _status(401, "Unauthorized", "Unauthorized")
        if method == "GET" and path in ("/version", "/version/"):
            major, minor = self.version.split(".")
            return {"major": major, "minor": minor, "gitVersion": f"v{self.version}.2{self.build}", "platform": "linux/amd64"}
        if method == "GET" and path in ("/api", "/apis", *RESOURCES):
            return _discovery(path)
        prefix = next((prefix for prefix in RESOURCES if path.startswith(prefix + "/")), None)
        if prefix is None:
            raise _status(404, "NotFound", f"the server could not find {path}")
        parts = path.removeprefix(prefix + "/").split("/")
        if parts[0] == "namespaces" and len(parts) > 2:
            parts = parts[2:] if parts[1] == "kube-system" else [parts[2], "-"]
        kind = next((kind for plural, kind, _namespaced in RESOURCES[prefix] if plural == parts[0]), None)
        if method == "GET" and len(parts) == 1:
            return self._list(kind, query)
        if method == "GET":
            return self._read(kind, parts[1])
        if method == "PATCH":
            return self._patch(kind, parts[1], body, headers, dry_run=query.get("dryRun") == "All")
        raise _status(405, "MethodNotAllowed", f"the stand-in does not answer {method}")

    def _list(self, kind, query):
        wanted = dict(term.split("=", 1) for term in query.get("labelSelector", "").split(",") if term)
        found = [entry for (of_kind, _name), entry in self.objects.items() if of_kind == kind]
        labelled = [entry for entry in found if wanted.items() <= entry["metadata"].get("labels", {}).items()]
        return {"kind": f"{kind}List", "apiVersion": _api_version(kind), "metadata": {"resourceVersion": str(self._version)}, "items": labelled}

    def _read(self, kind, name):
        if (kind, name) not in self.objects:
            raise _status(404, "NotFound", f'{kind} "{name}" not found')
        if kind == "DaemonSet":
            self._roll_on()
        return self.objects[kind, name]

    def _patch(self, kind, name, patch, headers, *, dry_run):
        if headers.get("Content-Type") != "application/merge-patch+json":
            raise _status(415, "UnsupportedMediaType", f"the stand-in knows merge patches only, not {headers.get('Content-Type')}")
        old = self.objects.get((kind, name))
        if old is None:
            raise _status(404, "NotFound", f'{kind} "{name}" not found')
        asked = patch.get("metadata", {}).get("resourceVersion")
        if asked not in (None, old["metadata"]["resourceVersion"]):
            raise _status(409, "Conflict", f'Operation cannot be fulfilled on {kind} "{name}": the object has been modified')
        new = _merge(old, patch)
        if new == old or dry_run:
            return new
        self._store(kind, name, new)
        if kind == "DaemonSet" and new["spec"] != old["spec"]:
            new["metadata"]["generation"] += 1
            self.rolled_out = -1  # the controller has not seen it yet
        return new

    # The cluster behind it

    def _add(self, kind, name, **content):
        metadata = {"name": name, "uid": f"{kind}-{name}", "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1}
        if kind != "Node":
            metadata["namespace"] = "kube-system"
        self._store(kind, name, {"apiVersion": _api_version(kind), "kind": kind, "metadata": metadata, **content})

    def _store(self, kind, name, entry):
        self._version += 1
        entry["metadata"]["resourceVersion"] = str(self._version)
        self.objects[kind, name] = entry

    def _roll_on(self):
        """The rollout goes on by one node."""
        self.rolled_out = min(self.rolled_out + 1, len(self.nodes))
        seen = self.rolled_out >= 0
        self.daemonset["status"] = {
            "desiredNumberScheduled": len(self.nodes),
            "updatedNumberScheduled": self.rolled_out if seen else len(self.nodes),
            "observedGeneration": self.daemonset["metadata"]["generation"] - (0 if seen else 1),
        }


def _api_version(kind):
    return "apps/v1" if kind == "DaemonSet" else "v1"


def _status(code, reason, message):
    return Error(code, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code})


def _discovery(path):
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    if path == "/apis":
        version = {"groupVersion": "apps/v1", "version": "v1"}
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [{"name": "apps", "versions": [version], "preferredVersion": version}]}
    resources = [
        {"name": plural, "singularName": kind.lower(), "kind": kind, "namespaced": namespaced, "verbs": ["get", "list", "patch"]}
        for plural, kind, namespaced in RESOURCES[path]
    ]
    return {"kind": "APIResourceList", "groupVersion": path.removeprefix("/apis/").removeprefix("/api/"), "resources": resources}


def _merge(old, patch):
    """A JSON merge patch (RFC 7396), on a copy."""
    new = copy.deepcopy(old)
    for name, value in patch.items():
        if value is None:
            new.pop(name, None)
        elif isinstance(value, dict):
            new[name] = _merge(new.get(name) or {}, value)
        else:
            new[name] = value
    return new
