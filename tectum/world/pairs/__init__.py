"""Training pairs of the procedural world, rendered by batched tensor code on a CPU or a GPU."""

from tectum.world.pairs.looks import Lens
from tectum.world.pairs.renderer import Pairs, render
from tectum.world.pairs.script import Ranges, Script, write_script
from tectum.world.pairs.stock import Stock, build_stock

__all__ = ["Lens", "Pairs", "Ranges", "Script", "Stock", "build_stock", "render", "write_script"]
