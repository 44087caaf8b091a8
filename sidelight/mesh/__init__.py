"""A small mesh of real Envoy sidecars and instrumented applications, described by a topology file.

What must stay true: nothing in here is imported by `serve`, and Sidelight never learns the topology; it sees
only what the sidecars and applications send. The mesh counts for itself what every caller got and what every
version received, so that Sidelight's answers can be compared with the truth.
"""

from sidelight.mesh.runner import Mesh, MeshError
from sidelight.mesh.topology import Topology, TopologyError, default_topology, load_topology

__all__ = ["Mesh", "MeshError", "Topology", "TopologyError", "default_topology", "load_topology"]
