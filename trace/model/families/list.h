// SPDX-License-Identifier: Apache-2.0
// Every family's row, in the order they are tried. No include guard: the list is expanded twice.
TR_FAMILY(baichuan_13b)
TR_FAMILY(baichuan)
TR_FAMILY(crystalcoder)
TR_FAMILY(deepseek)
TR_FAMILY(gpt2)
TR_FAMILY(gpt_neox)
TR_FAMILY(internlm2)
TR_FAMILY(llama)
TR_FAMILY(opt)
TR_FAMILY(phi)
TR_FAMILY(stablelm)
TR_FAMILY(starcoder2)
