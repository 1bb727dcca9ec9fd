"""The image that cells of the `docker` backend are made of: its recipe, its name, its build."""

from sandbox.image.build import build_image, find_image
from sandbox.image.tags import image_tag

__all__ = ["build_image", "find_image", "image_tag"]
