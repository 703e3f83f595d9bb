"""Our graphs as ONNX files."""

import numpy as np
import onnx
from onnx import helper, numpy_helper


def write_onnx(path, graph, opset=17):
    """Write a graph, whose types are known, with standard operators."""

    def value(name):
        kind = graph.types[name]
        element = helper.np_dtype_to_tensor_dtype(kind.dtype)
        return helper.make_tensor_value_info(name, element, kind.shape)

    def attribute(given):
        is_type = isinstance(given, np.dtype)
        return helper.np_dtype_to_tensor_dtype(given) if is_type else given

    nodes = []
    for node in graph.nodes:
        attributes = {name: attribute(given) for name, given in node.attributes.items()}
        nodes.append(helper.make_node(node.operator, node.inputs, node.outputs, **attributes))
    constants = [numpy_helper.from_array(value, name) for name, value in graph.constants.items()]
    body = helper.make_graph(nodes, "graph", [*map(value, graph.inputs)],
                             [*map(value, graph.outputs)], constants)  # fmt: skip
    onnx.save(helper.make_model(body, opset_imports=[helper.make_opsetid("", opset)]), path)
    return path
