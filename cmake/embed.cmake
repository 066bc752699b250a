# SPDX-License-Identifier: Apache-2.0
# cmake -DFILE=... -DSYMBOL=... -DOUT=... -P embed.cmake: a C source with the file's bytes and a 0.
file(READ ${FILE} bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
file(WRITE ${OUT} "extern const unsigned char ${SYMBOL}[];\nconst unsigned char ${SYMBOL}[] = {\n${bytes}0};\n")
