# SPDX-License-Identifier: GPL-3.0-or-later
"""DistributedDomain (sheet 7; the shapes are those of the IDL). Servers do not join or leave: a lab is made distributed."""

from __future__ import annotations

from tests.lab.admin_rpc import FAILED, ApiError, Context, method
from tests.lab.users import Record


@method("DistributedDomain.getRole")
def get_role(call: Context, _params: Record) -> Record:
    cluster = call.state.cluster
    if cluster is None:
        return {"role": "clStandalone", "isMultiServer": False}
    return {"role": cluster.own.role, "isMultiServer": len(cluster.members) > 1}


@method("DistributedDomain.getServerList")
def get_server_list(call: Context, _params: Record) -> Record:
    cluster = call.state.cluster
    if cluster is None:
        return {"servers": []}
    rows = [
        {
            "hostname": member.hostname,
            "isPrimary": member.role == "clMaster",
            "isLocal": member == cluster.own,
            "status": "csReady",
            "errorMessages": [],
            "domainStatus": "csDomainExists",
        }
        for member in cluster.members
    ]
    return {"servers": rows}


@method("DistributedDomain.getHomeServerList")
def get_home_server_list(call: Context, _params: Record) -> Record:
    """Ids and names as homeServer of users has them."""
    cluster = call.state.cluster
    members = cluster.members if cluster else []
    return {"servers": [cluster.home_shown({"id": one.id}, call.how) for one in members] if cluster else []}


@method("DistributedDomain.getStatus")
def get_status(call: Context, _params: Record) -> Record:
    """Fails where there is no distributed domain."""
    if call.state.cluster is None:
        raise ApiError(FAILED, "Operation failed.")
    return {"isInCluster": True, "isError": False}
