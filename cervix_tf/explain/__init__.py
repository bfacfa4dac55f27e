"""Where a network looked: Grad-CAM, Grad-CAM++ and pictures of feature maps; import each from its file."""
