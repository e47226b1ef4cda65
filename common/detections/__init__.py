"""What detectors write of people in pictures: their files and orders of joints, who is who in a video, what was not found.

Here belongs all that is known of 2D before a network sees it; every format has its reader, and all give `detection.KeypointFile`.
Joint orders as such are `geometry.joint_orders`; what is made of it in 3D is in `prediction`.
"""
