"""Where frames come from: folders of images, video files, cameras and streams, of one sense or several."""

from tectum.sources.alignment import Alignment, read_alignment
from tectum.sources.folders import SENSE_NAMES, list_images, natural_key, sense_of
from tectum.sources.images import read_image
from tectum.sources.opening import Source, open_recording
from tectum.sources.readahead import read_ahead
from tectum.sources.recording import StreamRecording
from tectum.sources.rendering import ColorMap, DepthRendering, ThermalRendering

__all__ = [
    "SENSE_NAMES",
    "Alignment",
    "ColorMap",
    "DepthRendering",
    "Source",
    "StreamRecording",
    "ThermalRendering",
    "list_images",
    "natural_key",
    "open_recording",
    "read_ahead",
    "read_alignment",
    "read_image",
    "sense_of",
]
