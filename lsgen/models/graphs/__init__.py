"""Models of networks: codes of nodes, from which the links between them follow."""
