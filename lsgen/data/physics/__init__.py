"""Configurations of statistical physics at the nodes of a grid of parameters, with exact answers: Ising and TASEP."""
