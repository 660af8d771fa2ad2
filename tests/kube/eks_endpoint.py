# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for the endpoint of AWS's EKS service, for the real aws command.

It speaks the REST operations DescribeCluster, DescribeAddon, DescribeAddonConfiguration, UpdateAddon and DescribeUpdate on one cluster with one add-on, with
their error codes. An update goes on by one step each time it or the add-on is read. Signatures are not checked. The schema has the form of the
one that EKS gives out for kube-proxy, and what does not conform to it is refused as EKS does it; which settings and modes a version of the add-on
really takes only AWS can tell.
"""

from __future__ import annotations

import json
import re

import jsonschema
import yaml

from tests.kube.http_json import Error, JsonServer

CLUSTER = "lab"
STEPS = 2


def schema(modes=("ipvs", "iptables"), section=("scheduler",)) -> dict:
    ipvs = {"type": "object", "additionalProperties": False, "properties": {name: {"type": "string"} for name in section}}
    settings = {
        "type": "object",
        "additionalProperties": False,
        "properties": {"mode": {"type": "string", "enum": list(modes)}, "ipvs": {"$ref": "#/definitions/Ipvs"}, "resources": {"type": "object"}},
    }
    return {"$ref": "#/definitions/KubeProxy", "$schema": "http://json-schema.org/draft-06/schema#", "definitions": {"Ipvs": ipvs, "KubeProxy": settings}}


class EksEndpoint(JsonServer):
    """``values``: the add-on's configuration values, None for no add-on. ``error``: (code, message) with which the next update fails.

    ``failed``: whether the last update failed. ``endpoint``: of the cluster's API server. ``refusal``: (code, message) with which an update does
    not even start. ``readable``: whether the schema may be read.
    """

    def __init__(self, values: str | None, version="v1.33.5-eksbuild.2"):
        super().__init__()
        self.values = values
        self.version = version
        self.schema = schema()
        self.error: tuple[str, str] | None = None
        self.endpoint = ""
        self.refusal: tuple[str, str] | None = None
        self.readable = True
        self.has_addon = values is not None
        self.failed = False
        self._pending = 0

    def updates(self) -> list[dict]:
        return [body for method, path, _query, body in self.requests if method == "POST" and path.endswith("/update")]

    def answer(self, method, path, query, body, _headers):
        if (method, path) == ("GET", "/addons/configuration-schemas"):
            if not self.readable:
                raise Error(403, {"message": "not authorized to perform: eks:DescribeAddonConfiguration"}, {"x-amzn-ErrorType": "AccessDeniedException"})
            return {"addonName": query["addonName"], "addonVersion": query["addonVersion"], "configurationSchema": json.dumps(self.schema)}
        cluster, rest = re.fullmatch(r"/clusters/([^/]+)/?(.*)", path).groups()
        if cluster != CLUSTER:
            raise _not_found(f"No cluster found for name: {cluster}.")
        if (method, rest) == ("GET", ""):
            return {"cluster": {"name": cluster, "endpoint": self.endpoint}}
        if method == "GET" and rest.startswith("updates/"):
            return {"update": self._step()}
        if not self.has_addon:
            raise _not_found(f"No addon: kube-proxy found in cluster: {cluster}")
        if (method, rest) == ("GET", "addons/kube-proxy"):
            return {"addon": self._addon()}
        if (method, rest) == ("POST", "addons/kube-proxy/update"):
            return {"update": self._update(body)}
        raise Error(400, {"message": f"the stand-in does not answer {method} {path}"}, {"x-amzn-ErrorType": "InvalidRequestException"})

    def _addon(self):
        status = "UPDATING" if self._pending else "UPDATE_FAILED" if self.failed else "ACTIVE"
        self._pending = max(self._pending - 1, 0)
        addon = {"addonName": "kube-proxy", "clusterName": CLUSTER, "status": status, "addonVersion": self.version, "health": {"issues": []}}
        return {**addon, "configurationValues": self.values} if self.values else addon

    def _update(self, body):
        if self.refusal:
            raise Error(400, {"message": self.refusal[1]}, {"x-amzn-ErrorType": self.refusal[0]})
        if self._pending:
            raise Error(409, {"message": "an update is under way"}, {"x-amzn-ErrorType": "ResourceInUseException"})
        for error in jsonschema.Draft6Validator(self.schema).iter_errors(yaml.safe_load(body["configurationValues"])):
            message = f"ConfigurationValue provided in request is not supported: Json schema validation failed with error: [{error.json_path}: {error.message}]"
            raise Error(400, {"message": message}, {"x-amzn-ErrorType": "InvalidParameterException"})
        self._pending = STEPS
        self.failed = bool(self.error)
        if not self.error:
            self.values = body["configurationValues"]
        return {"id": "11111111-2222-3333-4444-555555555555", "status": "InProgress", "type": "AddonUpdate", "params": [], "errors": []}

    def _step(self):
        self._pending = max(self._pending - 1, 0)
        status = "InProgress" if self._pending else "Failed" if self.error else "Successful"
        errors = [{"errorCode": self.error[0], "errorMessage": self.error[1]}] if status == "Failed" else []
        return {"id": "11111111-2222-3333-4444-555555555555", "status": status, "type": "AddonUpdate", "params": [], "errors": errors}


def _not_found(message):
    return Error(404, {"message": message}, {"x-amzn-ErrorType": "ResourceNotFoundException"})
