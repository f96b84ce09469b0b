"""Rewriting of graphs: rules as equations, the engine that applies them, and their order.

Data flows `pipeline` -> `engine` -> rules (`canonical`, `shapes`, `views`, `index`, `stable`,
`special`), which are written with `pattern` as equations, or as functions `node -> variable`.
"""
