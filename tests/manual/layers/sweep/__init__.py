"""The options of every layer class that has a twin, and what the sweep makes of them."""

from sweep.activation import TABLES as ACTIVATION
from sweep.attention import TABLES as ATTENTION
from sweep.cells import TABLES as CELLS
from sweep.convolution import TABLES as CONVOLUTION
from sweep.core import TABLES as CORE
from sweep.merging import TABLES as MERGING
from sweep.normalization import TABLES as NORMALIZATION
from sweep.pooling import TABLES as POOLING
from sweep.recurrent import TABLES as RECURRENT
from sweep.regularization import TABLES as REGULARIZATION
from sweep.reshaping import TABLES as RESHAPING
from sweep.states import TABLES as STATES
from sweep.tables import Configuration, Table, configurations

TABLES: list[Table] = [
    *CORE,
    *ACTIVATION,
    *CONVOLUTION,
    *POOLING,
    *NORMALIZATION,
    *RECURRENT,
    *STATES,
    *CELLS,
    *ATTENTION,
    *MERGING,
    *RESHAPING,
    *REGULARIZATION,
]
ALL: list[Configuration] = list(
    {str(one): one for table in TABLES for one in configurations(table)}.values()
)

__all__ = ["ALL", "TABLES", "Configuration", "Table", "configurations"]
