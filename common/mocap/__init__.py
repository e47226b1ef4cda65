"""Motion capture to the two domains of the open benchmark: BVH, rotations of body parts, bodies, takes, cameras' views.

Here belongs what makes data that did not exist before. The files that it writes are `preparation`'s, and are read again by
`datasets` as any other's.
"""
