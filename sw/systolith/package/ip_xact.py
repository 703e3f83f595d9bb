"""The package as IP-XACT component, IEEE 1685-2014."""

import re
import xml.etree.ElementTree as ET

from systolith_hw.registers import REGISTER_SPACE, BitField

from .description import CoreDescription, PackagedRegister, named_values

__all__ = ["ip_xact"]

NAMESPACE = "http://www.accellera.org/XMLSchema/IPXACT/1685-2014"

ET.register_namespace("ipxact", NAMESPACE)

AXI = ("amba.com", "AMBA4")
WISHBONE = ("opencores.org", "interface")
SIGNAL = ("xilinx.com", "signal")

ACCESS = {"ro": "read-only", "rw": "read-write", "wo": "write-only", "w1c": "read-write"}

NAMES_OF_WISHBONE = {"dat_w": "DAT_MOSI", "dat_r": "DAT_MISO"}


def ip_xact(core: CoreDescription) -> str:
    """Return ``systolith.xml``.

    The native ports are no bus that others know of; they are ports, and nothing more.
    """
    root = ET.Element(f"{{{NAMESPACE}}}component")
    for name, value in (("vendor", "systolith"), ("library", "ip"), ("name", core.name),
                        ("version", core.version)):  # fmt: skip
        _add(root, name, value)
    _bus_interfaces(root, core)
    if core.bus != "native":
        space = _add(_add(root, "addressSpaces"), "addressSpace")
        _add(space, "name", "memory")
        _add(space, "range", str(1 << core.config.bus.address_bits))
        _add(space, "width", str(8 * core.config.bus.data_bytes))
    _memory_map(root, core)
    _model(root, core)
    files = _add(_add(root, "fileSets"), "fileSet")
    _add(files, "name", "rtl")
    file = _add(files, "file")
    _add(file, "name", "systolith.v")
    _add(file, "fileType", "verilogSource")
    _add(root, "description", f"Transformer accelerator, {core.made_of}, configuration "
                              f"{core.config.hash:08x}")  # fmt: skip
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def _add(parent: ET.Element, name: str, text: str | None = None) -> ET.Element:
    element = ET.SubElement(parent, f"{{{NAMESPACE}}}{name}")
    element.text = text
    return element


def _bus_interfaces(root: ET.Element, core: CoreDescription) -> None:
    interfaces = _add(root, "busInterfaces")
    if core.bus == "axi4":
        _bus(interfaces, core, "m_axi", AXI, "AXI4", "r0p0_0", "master")
        _bus(interfaces, core, "s_axil", AXI, "AXI4-Lite", "r0p0_0", "slave")
    elif core.bus == "wishbone":
        _bus(interfaces, core, "m_wb", WISHBONE, "wishbone", "b4", "master")
        _bus(interfaces, core, "s_wb", WISHBONE, "wishbone", "b4", "slave")
    buses = ":".join(one.findtext(f"{{{NAMESPACE}}}name", "") for one in interfaces)
    clocked = {"ASSOCIATED_BUSIF": buses} if buses else {}
    _single(interfaces, "clk", "clock", "CLK", "slave", {**clocked, "ASSOCIATED_RESET": "rst"})
    _single(interfaces, "rst", "reset", "RST", "slave", {"POLARITY": "ACTIVE_HIGH"})
    _single(interfaces, "irq", "interrupt", "INTERRUPT", "master", {"SENSITIVITY": "LEVEL_HIGH"})


def _single(
    parent: ET.Element, port: str, name: str, logical: str, mode: str, settings: dict[str, str]
) -> None:
    """Add a port as an interface of its own, with the ``settings`` that tools look for.

    Without them they take a reset for active low and do not know the clock of the buses.
    """
    element = _interface(parent, port, SIGNAL, name, "1.0", [(logical, port)])
    _add(element, mode)
    parameters = _add(element, "parameters")
    for key, value in settings.items():
        parameter = _add(parameters, "parameter")
        _add(parameter, "name", key)
        _add(parameter, "value", value)


def _bus(parent, core: CoreDescription, prefix, library, name: str, version: str, mode) -> None:
    ports = [port.name for port in core.ports if port.name.startswith(f"{prefix}_")]
    maps = []
    for port in ports:
        signal = port.removeprefix(f"{prefix}_")
        logical = signal.upper()
        if library == WISHBONE:
            logical = NAMES_OF_WISHBONE.get(signal, logical)
        maps.append((logical, port))
    element = _interface(parent, prefix, library, name, version, maps)
    side = _add(element, mode)
    if mode == "master":
        _add(side, "addressSpaceRef").set("addressSpaceRef", "memory")
    else:
        _add(side, "memoryMapRef").set("memoryMapRef", "registers")


def _interface(parent, label: str, library, name: str, version: str, maps) -> ET.Element:
    vendor, where = library
    element = _add(parent, "busInterface")
    _add(element, "name", label)
    reference = {"vendor": vendor, "library": where, "version": version}
    bus_type = _add(element, "busType")
    for key, value in {**reference, "name": name}.items():
        bus_type.set(key, value)
    abstraction = _add(_add(element, "abstractionTypes"), "abstractionType")
    abstraction_ref = _add(abstraction, "abstractionRef")
    for key, value in {**reference, "name": f"{name}_rtl"}.items():
        abstraction_ref.set(key, value)
    port_maps = _add(abstraction, "portMaps")
    for logical, physical in maps:
        port_map = _add(port_maps, "portMap")
        _add(_add(port_map, "logicalPort"), "name", logical)
        _add(_add(port_map, "physicalPort"), "name", physical)
    return element


def _memory_map(root: ET.Element, core: CoreDescription) -> None:
    memory_map = _add(_add(root, "memoryMaps"), "memoryMap")
    _add(memory_map, "name", "registers")
    block = _add(memory_map, "addressBlock")
    _add(block, "name", "registers")
    _add(block, "baseAddress", "0")
    _add(block, "range", str(REGISTER_SPACE))
    _add(block, "width", "32")
    _add(block, "usage", "register")
    for register in core.registers():
        _register(block, register)
    _add(memory_map, "addressUnitBits", "8")


def _register(block: ET.Element, register: PackagedRegister) -> None:
    element = _add(block, "register")
    _add(element, "name", register.name)
    _add(element, "description", register.doc)
    _add(element, "addressOffset", str(register.offset))
    _add(element, "size", "32")
    _add(element, "access", ACCESS[register.access])
    for field in register.fields:
        part = _add(element, "field")
        _add(part, "name", field.name)
        _add(part, "description", field.doc)
        _add(part, "bitOffset", str(field.low))
        if register.reset is not None:
            reset = _add(_add(part, "resets"), "reset")
            _add(reset, "value", str(register.reset >> field.low & (1 << field.width) - 1))
        _add(part, "bitWidth", str(field.width))
        _add(part, "access", ACCESS[register.access])
        _values(part, field)
        if register.access == "w1c":
            _add(part, "modifiedWriteValue", "oneToClear")


def _values(part: ET.Element, field: BitField) -> None:
    if field.values is None:
        return
    values = _add(part, "enumeratedValues")
    for number, name, doc in named_values(field):
        value = _add(values, "enumeratedValue")
        _add(value, "name", name)
        if doc:
            _add(value, "description", doc)
        _add(value, "value", str(number))


def _model(root: ET.Element, core: CoreDescription) -> None:
    model = _add(root, "model")
    view = _add(_add(model, "views"), "view")
    _add(view, "name", "rtl")
    _add(view, "envIdentifier", ":*Synthesis:")
    _add(view, "componentInstantiationRef", "verilog")
    instantiation = _add(_add(model, "instantiations"), "componentInstantiation")
    _add(instantiation, "name", "verilog")
    _add(instantiation, "language", "verilog")
    _add(instantiation, "moduleName", "systolith")
    _add(_add(instantiation, "fileSetRef"), "localName", "rtl")
    ports = _add(model, "ports")
    for port in core.ports:
        element = _add(ports, "port")
        _add(element, "name", port.name)
        _add(element, "description", port.meaning)
        wire = _add(element, "wire")
        _add(wire, "direction", re.sub("put$", "", port.direction))
        if port.width > 1:
            vector = _add(_add(wire, "vectors"), "vector")
            _add(vector, "left", str(port.width - 1))
            _add(vector, "right", "0")
