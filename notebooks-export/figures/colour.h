// SPDX-License-Identifier: Apache-2.0
#ifndef NX_COLOUR_H
#define NX_COLOUR_H

#include <stdint.h>

// Colours of figures as 0xRRGGBB in sRGB. Each map has one meaning in all figures: the sequential
// one is a value, the diverging one a value with a sign, that of depth a layer, and the distinct
// ones what is ranked by. notebooks-export/python/trace_ckpts/drawing.py has the same.

// The sequential map, t in [0, 1] from dark blue to yellow. It is a quadratic Bezier curve in OKLab
// (Ottosson 2020, "A perceptual color space for image processing") walked at constant speed: equal
// steps of t are equal steps of perceived colour, lightness only rises, and the hue moves between
// blue and yellow, which readers with red-green blindness tell apart. Values outside are clamped.
uint32_t nx_sequential(double t);

// The diverging map, t in [0, 1] from blue through a light neutral at 0.5 to vermilion: straight
// lines in OKLab, so that what is as far from the middle is seen as far. Values outside are
// clamped.
uint32_t nx_diverging(double t);

// The map of layers, t in [0, 1] from purple for the first to orange for the last: a straight line
// in OKLab between two colours that are seen on white, so that no layer has the colour of a value.
// Values outside are clamped.
uint32_t nx_depth(double t);

// Distinct colours for a few lines, in the order of Okabe and Ito (2008), "Color Universal Design",
// without black and yellow; they repeat after NX_DISTINCT.
enum { NX_DISTINCT = 6 };
uint32_t nx_distinct(int64_t index);

#endif
