"""Every exception class of jitgraph.

The names and bases are those that programs written for Theano catch; the few of
our own (`JitgraphError` and its children) describe the compiler and its cache.
"""

from __future__ import annotations


class JitgraphError(Exception):
    """Base of the errors that concern jitgraph itself: compiler, cache, loading."""


class CompilerNotFoundError(JitgraphError):
    """No C compiler could be found; the message says what to type."""


class CompileError(JitgraphError):
    """The C compiler failed; the message holds the command and its first complaint."""


class ShapeError(JitgraphError, ValueError):
    """Operand shapes cannot be combined."""


class UnusedInputError(Exception):
    """An input of a function is not needed to compute its outputs."""


class AliasedMemoryError(Exception):
    """Two values that must be distinct share memory."""


class MissingInputError(Exception):
    """The graph needs a variable that is neither an input, a constant nor shared."""


class InconsistencyError(Exception):
    """A graph contradicts itself."""


class MethodNotDefined(Exception):
    """An op lacks the method that was asked for."""


class AsTensorError(TypeError):
    """A Python value cannot become a tensor variable."""


class NotScalarConstantError(Exception):
    """A variable has no scalar value that is known without running the graph."""


class EmptyConstantError(NotScalarConstantError):
    """A constant is empty, so it has no scalar value."""


class DisconnectedInputError(ValueError):
    """A gradient was asked with respect to something the cost does not depend on."""


class NullTypeGradError(TypeError):
    """A gradient was asked through an op whose gradient is undefined."""


class GradientError(Exception):
    """A symbolic gradient differs from the numeric one."""


class ComplexError(NotImplementedError):
    """The operation is not defined for complex numbers."""


class IntegerDivisionError(Exception):
    """Division of two integers where the configuration forbids it."""


class MissingTestValueError(AttributeError, ValueError):
    """A test value is asked for, and a variable that it depends on has none."""


class DebugModeError(Exception):
    """Base of the errors that DebugMode finds."""


class BadThunkOutput(DebugModeError):
    """Compiled code and NumPy give different results."""


class BadOptimization(DebugModeError):
    """A graph and its rewritten form give different results."""


class InvalidValueError(DebugModeError):
    """A result is nan or infinite."""


class AdvancedIndexingError(TypeError):
    """An index is not one of the basic kinds."""
