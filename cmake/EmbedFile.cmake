# SPDX-License-Identifier: Apache-2.0
# cmake -DFILE=path -DNAME=symbol -DOUT=source.c -P EmbedFile.cmake: the file's bytes as a C string
# NAME and their SHA-256 in hexadecimal as NAME_sha256.
file(READ ${FILE} hex HEX)
file(SHA256 ${FILE} digest)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "(char)0x\\1," bytes "${hex}")
string(REPLACE "(char)0x0a," "(char)0x0a,\n" bytes "${bytes}")
file(WRITE ${OUT} "const char ${NAME}[] = {\n${bytes}0};\nconst char ${NAME}_sha256[] = \"${digest}\";\n")
