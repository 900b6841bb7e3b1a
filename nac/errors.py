"""What can go wrong, as a small tree: every error a user can cause is a `NacError` with one clear line.

What goes less wrong is a warning.
"""


class NacError(Exception):
    """Base of all errors raised on bad input. The message is one line: what is wrong and what to do."""


class FormatError(NacError):
    """The bytes are not a `.nac` file that this version can read."""


class DamagedError(FormatError):
    """A `.nac` file is damaged and cannot be read at all (a damaged block alone is a warning, not an error)."""


class AudioError(NacError):
    """An audio file or array cannot be read, written or coded."""


class WeightsError(NacError):
    """A weights file is missing, broken, or not the one a `.nac` file was made with."""


class OptionError(NacError, ValueError):
    """An option or argument is outside its range."""


class AudioWarning(UserWarning):
    """The audio could be read, but not quite as it is: a file that ends early, or samples that are not numbers."""


class IncompleteAudioWarning(AudioWarning):
    """Part of the audio could not be read and is left out."""
